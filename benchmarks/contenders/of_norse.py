"""norse: a ``SequentialState`` of linear layers and cells, stepped through time as its tutorials do.

``LIFBoxCell`` is its neuron without synaptic currents, with reset to zero and gradient through it. Its input is scaled
by 1 - a, which the weights undo; its surrogate is SuperSpike with the fixed slope 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from cases import Case, Inputs
from norse.torch import LIBoxCell, LIBoxParameters, LIFBoxCell, LIFBoxParameters, SequentialState
from torch import Tensor, nn

from contenders.torch_step import linear, time_first, train_step

__all__ = ["build"]


def network(case: Case) -> SequentialState:
    """Linear layers and cells in turn; the last cell is a leaky integrator."""
    *hidden, last = case.weights()
    rate = torch.tensor((1 - case.decay) / case.dt)
    layers: list[nn.Module] = []
    for weights in hidden:
        neuron = LIFBoxCell(LIFBoxParameters(tau_mem_inv=rate), dt=case.dt)
        layers += [linear(weights, 1 / (1 - case.decay)), neuron]
    return SequentialState(*layers, linear(last), LIBoxCell(LIBoxParameters(tau_mem_inv=rate), dt=case.dt))


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:  # noqa: ARG001
    """The network in norse."""
    net, spikes = network(case), time_first(inputs)

    def score() -> Tensor:
        state, potentials = None, []
        for x in spikes:
            potential, state = net(x, state)
            potentials.append(potential)
        return torch.stack(potentials).mean(0)

    return train_step(score, net.parameters(), inputs, case.learning_rate)
