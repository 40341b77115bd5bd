"""SpikingJelly in its multi-step mode: each layer sees all time steps at once.

Same neuron (charge without decay of the input, threshold met counts as crossed) and reset to zero, with gradient; its
SuperSpike surrogate has the fixed slope 1 and height alpha, here 1.
"""

from __future__ import annotations

from collections.abc import Callable

from cases import Case, Inputs
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from contenders.torch_step import linear, time_first, train_step

__all__ = ["build"]


def network(case: Case) -> nn.Sequential:
    """Linear and LIF layers in turn; the last one is its non-spiking node, read by its mean potential."""
    *hidden, last = case.weights()
    tau = 1 / (1 - case.decay)
    layers: list[nn.Module] = []
    for weights in hidden:
        lif = neuron.LIFNode(
            tau=tau, decay_input=False, v_reset=0.0, surrogate_function=surrogate.SuperSpike(), step_mode="m"
        )
        layers += [layer.SeqToANNContainer(linear(weights)), lif]
    layers += [layer.SeqToANNContainer(linear(last)), neuron.NonSpikingLIFNode(tau=tau, decode="mean-mem")]
    return nn.Sequential(*layers)


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:  # noqa: ARG001
    """The network in SpikingJelly."""
    net, spikes = network(case), time_first(inputs)

    def score() -> Tensor:
        functional.reset_net(net)
        return net(spikes)

    return train_step(score, net.parameters(), inputs, case.learning_rate)
