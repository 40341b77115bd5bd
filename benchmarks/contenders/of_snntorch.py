"""snnTorch, as its tutorials do it: ``snn.Leaky`` in a loop over time, a linear layer before each.

Same neuron, reset to zero and surrogate as here; its gradient does not flow through the reset.
"""

from __future__ import annotations

from collections.abc import Callable

import snntorch
import torch
from cases import Case, Inputs
from snntorch import surrogate
from torch import Tensor, nn

from contenders.torch_step import linear, time_first, train_step

__all__ = ["build"]


class Net(nn.Module):
    """Linear and leaky layers in turn; the last one integrates without a reset and its potential is read."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        *hidden, last = case.weights()
        gradient = surrogate.fast_sigmoid(slope=case.slope)
        self.linears = nn.ModuleList([*map(linear, hidden), linear(last, 1 - case.decay)])
        self.leakies = nn.ModuleList(
            snntorch.Leaky(beta=case.decay, spike_grad=gradient, reset_mechanism=reset)
            for reset in [*["zero"] * len(hidden), "none"]
        )

    def forward(self, spikes: Tensor) -> Tensor:
        """Mean potential of the readout: time, batch, fibre -> batch, class."""
        membranes = [leaky.reset_mem() for leaky in self.leakies]
        potentials = []
        for x in spikes:
            for i, (fc, leaky) in enumerate(zip(self.linears, self.leakies, strict=True)):
                x, membranes[i] = leaky(fc(x), membranes[i])  # noqa: PLW2901
            potentials.append(membranes[-1])
        return torch.stack(potentials).mean(0)


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:  # noqa: ARG001
    """The network in snnTorch."""
    net, spikes = Net(case), time_first(inputs)
    return train_step(lambda: net(spikes), net.parameters(), inputs, case.learning_rate)
