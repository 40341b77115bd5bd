"""Kernels: rows of an array with any number of neurons, read and written 32 lanes at a time."""

from __future__ import annotations

import numpy as np

from spikeloc.compiled.lanes import (
    LANES,
    choose,
    fill,
    first_lanes,
    inlined,
    load,
    load_at,
    load_first,
    store,
    store_at,
    store_first,
)

__all__ = ["read_row", "write_membrane", "write_row", "write_spikes"]

_ZERO, _ONE = np.float32(0), np.float32(1)


@inlined
def write_row(array: np.ndarray, position: int, limit: int, mask: np.ndarray, value: np.ndarray) -> None:
    """Write the masked first lanes of a row whose next rows, up to position ``limit``, have yet to be written.

    Writing some lanes only is slow, so all 32 are written wherever the others land on elements that are still to
    come. Hence a caller goes upwards in time and, outside that, downwards through blocks: the last block, which may
    be narrower than 32, comes before the first, on which it spills.
    """
    if position + LANES <= limit:
        store_at(array, position, value)
    else:
        store_first(array, position, mask, value)


@inlined
def read_row(array: np.ndarray, position: int, mask: np.ndarray) -> np.ndarray:
    """The masked first lanes from a position on, zeros in the others."""
    if position + LANES <= array.size:
        return choose(mask, load_at(array, position), fill(_ZERO))
    return load_first(array, position, mask)


@inlined
def write_spikes(
    rows: np.ndarray,
    place: int,
    sound: int,
    block: int,
    begin: int,
    end: int,
    n_steps: int,
    bin_steps: int,
    n_neurons: int,
    total: np.ndarray,
    spikes: np.ndarray,
) -> None:
    """Write numbers of spikes [sounds, bins, H]; the last row of total holds those of a bin that is not over."""
    zero, one = fill(_ZERO), fill(_ONE)
    mask = first_lanes(n_neurons - block * LANES)
    n_bins = (n_steps + bin_steps - 1) // bin_steps
    position = (sound * n_bins + begin // bin_steps) * n_neurons + block * LANES
    limit = (sound + 1) * n_bins * n_neurons
    counted, left = load(total, total.shape[0] - 1), bin_steps - begin % bin_steps
    for t in range(begin, end):
        counted = counted + choose(load(rows, place + t - begin) > one, one, zero)
        left -= 1
        if left == 0 or t == n_steps - 1:
            write_row(spikes, position, limit, mask, counted)
            counted, left = zero, bin_steps
            position += n_neurons
    store(total, total.shape[0] - 1, counted)


@inlined
def write_membrane(
    rows: np.ndarray,
    place: int,
    sound: int,
    block: int,
    begin: int,
    end: int,
    n_steps: int,
    n_neurons: int,
    membrane: np.ndarray,
) -> None:
    """Write membranes [sounds, T, H]."""
    mask = first_lanes(n_neurons - block * LANES)
    position = (sound * n_steps + begin) * n_neurons + block * LANES
    limit = (sound + 1) * n_steps * n_neurons
    for t in range(end - begin):
        write_row(membrane, position + t * n_neurons, limit, mask, load(rows, place + t))
