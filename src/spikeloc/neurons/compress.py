"""From a tensor of spikes to a list of events: the fused engine's input."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import over_sounds
from spikeloc.compiled.lanes import LANES
from spikeloc.neurons import kernels_events
from spikeloc.spikes import MAX_NEURONS, SpikeEvents

__all__ = ["compress"]


def compress(spikes: Tensor) -> SpikeEvents:
    """List the spikes of a tensor, axes batch, time, neuron; two spikes of a neuron in one step are listed twice.

    Raises ValueError for other devices, too many neurons, and numbers of spikes that are not whole.
    """
    n_sounds, n_steps, n_neurons = spikes.shape
    if not spikes.is_cpu:
        raise ValueError(
            f"spikes are on {spikes.device}; the fused engine computes on the CPU (the reference anywhere)"
        )
    if n_neurons > MAX_NEURONS:
        raise ValueError(f"spikes have {n_neurons} neurons; at most {MAX_NEURONS} can be indexed")
    dense = spikes.contiguous()
    if spikes.dtype == torch.bool:
        dense = dense.view(torch.uint8)
    elif spikes.dtype != torch.float32:
        # Compared before it is rounded to float32: 1 + 1e-9 is not a spike.
        exact = spikes.to(torch.float64)
        dense = torch.where(exact == exact.round(), exact, torch.nan).to(torch.float32).contiguous()
    n_rows = n_sounds * n_steps
    bits = np.empty((n_rows, -(-n_neurons // LANES)), dtype=np.uint32)
    start = np.zeros(n_rows + 1, dtype=np.int64)
    binary = np.ones(n_sounds, dtype=np.bool_)
    rows = dense.numpy().reshape(n_rows, n_neurons)
    over_sounds(kernels_events.mark_events, n_sounds, n_steps, rows, bits, start[1:], binary)
    if not binary.all():
        return _counted(rows, n_sounds, n_steps)
    np.cumsum(start, out=start)
    index = np.empty(int(start[-1]), dtype=np.uint16)
    over_sounds(kernels_events.list_events, n_sounds, n_steps, bits, start, index)
    return SpikeEvents(index, start, n_sounds, n_steps, n_neurons)


def _counted(rows: np.ndarray, n_sounds: int, n_steps: int) -> SpikeEvents:
    """The same for numbers of spikes, rows [sounds * T, N]."""
    start = np.zeros(len(rows) + 1, dtype=np.int64)
    whole = np.ones(n_sounds, dtype=np.bool_)
    over_sounds(kernels_events.count_events, n_sounds, n_steps, rows, start[1:], whole)
    if not whole.all():
        raise ValueError(
            f"spikes hold numbers other than 0 to {kernels_events.MOST} in whole steps, which only the reference "
            f"engine computes"
        )
    np.cumsum(start, out=start)
    index = np.empty(int(start[-1]), dtype=np.uint16)
    over_sounds(kernels_events.repeat_events, n_sounds, n_steps, rows, start, index)
    return SpikeEvents(index, start, n_sounds, n_steps, rows.shape[1])
