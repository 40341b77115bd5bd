"""The reference engine: layers in plain PyTorch, on any device. It defines what every engine must compute.

An engine is a module with three functions of the same names, signatures and results: :func:`lif_layer`,
:func:`weighted_counts` and :func:`leaky_trace`.

Shapes: B sounds, T time steps, N inputs, H neurons, K weightings of time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeloc.neurons.layer import LayerOutput
from spikeloc.neurons.models import LIF, decay
from spikeloc.spikes import SpikeEvents

__all__ = ["binned", "leaky_trace", "lif_layer", "weighted_counts"]


def lif_layer(
    spikes: Tensor | SpikeEvents,
    weights: Tensor,
    neuron: LIF,
    dt: float,
    *,
    time_weights: Tensor | None = None,
    want_spikes: bool = False,
    want_membrane: bool = False,
    bin_steps: int = 1,
    dense: bool = False,  # noqa: ARG001  (this engine multiplies all there is)
) -> LayerOutput:
    """Run a layer of neurons over whole spike trains, the membranes starting at rest.

        i_t = x_t W            then the equations of ``neuron``
        sums_k = sum_t c_{k,t} s_t

    spikes         x, binary for events, any numbers for a tensor     [1]   B T N
    dense          inputs spike in most steps, so that following their spikes would not pay
    bin_steps      wanted spikes are counted in bins of so many steps; the last bin may be shorter
    weights        W                                                  [1]   N H
    dt             time step                                          [s]
    time_weights   c; the sums a readout needs without a time axis    [1]   K T

    Returns a LayerOutput: ``sums`` [B H], one for each of time_weights, ``spikes`` [B bins H] and ``membrane`` [B T H]
    (v before the reset, without gradient) if wanted. Gradients flow to weights and to a tensor of spikes.
    """
    current = as_tensor(spikes, weights) @ weights  # B T H
    a = decay(neuron.tau, dt)
    steps = current.unbind(1)  # an index in the loop would cost the whole tensor again on the way back
    nothing = torch.zeros_like(steps[0])
    v, s, s_before = nothing, nothing, nothing
    membranes, trains = [], []
    for i in steps:
        v = _membrane(neuron, a, v, i, s, s_before)
        if neuron.floor > -math.inf:
            v = torch.where(v > neuron.floor, v, neuron.floor)
        s_new = neuron.surrogate(v - 1)
        membranes.append(v.detach())
        trains.append(s_new)
        s_before, s = s, s_new if neuron.reset_gradient else s_new.detach()
    train = torch.stack(trains, dim=1)
    return LayerOutput(
        sums=() if time_weights is None else torch.einsum("kt,bth->kbh", time_weights.to(train), train).unbind(),
        spikes=binned(train, bin_steps) if want_spikes else None,
        membrane=torch.stack(membranes, dim=1) if want_membrane else None,
    )


def _membrane(neuron: LIF, a: float, v: Tensor, current: Tensor, s: Tensor, s_before: Tensor) -> Tensor:
    match neuron.reset:
        case "zero":
            return a * v * (1 - s) + current
        case "subtract":
            return a * (v - s) + current
        case "late_zero":
            return (a * v + current) * (1 - s_before)
        case "late_subtract":
            return a * v + current - s_before


def weighted_counts(spikes: Tensor | SpikeEvents, time_weights: Tensor) -> Tensor:
    """Sum of each input's spikes under each weighting of time, ``sum_t c_{k,t} x_t``: [K T] -> [B K N]."""
    return torch.einsum("kt,btn->bkn", time_weights, as_tensor(spikes, time_weights))


def leaky_trace(spikes: Tensor | SpikeEvents, weights: Tensor, tau: float, dt: float) -> Tensor:
    """Potential of non-spiking leaky integrators, ``u_t = a u_{t-1} + (1 - a) x_t W``: [B T N], [N H] -> [B T H]."""
    a = decay(tau, dt)
    current = (1 - a) * (as_tensor(spikes, weights) @ weights)
    steps = current.unbind(1)
    u = torch.zeros_like(steps[0])
    trace = []
    for i in steps:
        u = a * u + i
        trace.append(u)
    return torch.stack(trace, dim=1)


def binned(train: Tensor, bin_steps: int) -> Tensor:
    """Sums over bins of time steps, the last of which may be shorter: [B T H] -> [B bins H]."""
    if bin_steps == 1:
        return train
    n_sounds, n_steps, n_neurons = train.shape
    n_bins = -(-n_steps // bin_steps)
    padded = torch.nn.functional.pad(train, (0, 0, 0, n_bins * bin_steps - n_steps))
    return padded.reshape(n_sounds, n_bins, bin_steps, n_neurons).sum(dim=2)


def as_tensor(spikes: Tensor | SpikeEvents, like: Tensor) -> Tensor:
    """Spikes as numbers of the type and on the device of ``like``."""
    tensor = spikes.to_dense() if isinstance(spikes, SpikeEvents) else spikes
    return tensor.to(dtype=like.dtype, device=like.device)
