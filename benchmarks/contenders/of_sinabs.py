"""sinabs: linear, ``LIF`` and ``ExpLeak`` layers in sequence, each over all time steps.

Same neuron, reset to zero and surrogate as here; its gradient does not flow through the reset. Its time constants
are parameters by default and are held fixed here.
"""

from __future__ import annotations

from collections.abc import Callable

import sinabs
from cases import Case, Inputs
from sinabs import layers
from sinabs.activation import MembraneReset, SingleSpike
from torch import Tensor, nn

from contenders.torch_step import dense, linear, train_step

__all__ = ["build"]


def network(case: Case) -> nn.Sequential:
    """Linear and spiking layers in turn; the last one leaks without spiking."""
    *hidden, last = case.weights()
    steps = case.tau / case.dt  # sinabs counts time in steps

    def gradient(v: Tensor, threshold: Tensor) -> Tensor:
        return 1 / (1 + case.slope * (v - threshold).abs()) ** 2

    found: list[nn.Module] = []
    for weights in hidden:
        neuron = layers.LIF(
            steps, spike_fn=SingleSpike, reset_fn=MembraneReset(), surrogate_grad_fn=gradient, norm_input=False
        )
        found += [linear(weights), neuron]
    net = nn.Sequential(*found, linear(last), layers.ExpLeak(steps, norm_input=True))
    for name, parameter in net.named_parameters():
        parameter.requires_grad_("tau" not in name and "threshold" not in name)
    return net


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:  # noqa: ARG001
    """The network in sinabs."""
    net, spikes = network(case), dense(inputs)

    def score() -> Tensor:
        sinabs.reset_states(net)
        return net(spikes).mean(1)

    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return train_step(score, parameters, inputs, case.learning_rate)
