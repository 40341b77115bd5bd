"""Kernels: from dense spikes to events, and sums over time of events."""

from __future__ import annotations

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.compiled.lanes import LANES, at, count_bits, lowest_bit, nonzero_bits, one_bits

__all__ = ["MOST", "add_weighted_counts", "count_events", "list_events", "mark_events", "repeat_events"]

MOST = 1000  # spikes of a neuron in one step

_ONE = np.uint64(1)


@kernel
def mark_events(
    first: int, last: int, n_steps: int, dense: np.ndarray, bits: np.ndarray, count: np.ndarray, binary: np.ndarray
) -> None:
    """Read dense spikes [sounds * T, N] of sounds first to last once, and mark each spike by a bit.

    bits     32 neurons in each    [sounds * T, words]
    count    spikes of each step   [sounds * T]
    binary   set to whether a sound holds nothing but zeros and ones    [sounds]
    """
    n_neurons, n_words = dense.shape[1], bits.shape[1]
    for sound in range(first, last):
        strange = np.uint64(0)
        for row in range(sound * n_steps, (sound + 1) * n_steps):
            total = 0
            for word in range(n_words):
                position, width = row * n_neurons + word * LANES, min(LANES, n_neurons - word * LANES)
                if position + LANES <= dense.size:
                    inside = (_ONE << np.uint64(width)) - _ONE
                    nonzero, one = nonzero_bits(dense, position) & inside, one_bits(dense, position) & inside
                else:
                    nonzero = one = np.uint64(0)
                    for n in range(width):
                        element = at(dense, position + n)
                        nonzero |= np.uint64(element != 0) << np.uint64(n)
                        one |= np.uint64(element == 1) << np.uint64(n)
                bits[row, word] = nonzero
                strange |= nonzero ^ one
                total += count_bits(nonzero)
            count[row] = total
        binary[sound] = strange == 0


@kernel
def list_events(first: int, last: int, n_steps: int, bits: np.ndarray, start: np.ndarray, index: np.ndarray) -> None:
    """Turn the bits of sounds first to last into lists of indices."""
    for row in range(first * n_steps, last * n_steps):
        event = start[row]
        for word in range(bits.shape[1]):
            left = np.uint64(bits[row, word])
            while left != 0:
                index[event] = word * LANES + lowest_bit(left)
                left &= left - _ONE
                event += 1


@kernel
def count_events(first: int, last: int, n_steps: int, rows: np.ndarray, count: np.ndarray, whole: np.ndarray) -> None:
    """Sum each row of numbers of spikes [sounds * T, N], sounds first to last.

    count   [sounds * T]
    whole   set to whether a sound holds nothing but whole numbers from 0 to ``MOST``    [sounds]
    """
    for sound in range(first, last):
        strange = False
        for row in range(sound * n_steps, (sound + 1) * n_steps):
            total = 0
            for n in range(rows.shape[1]):
                value = rows[row, n]
                if value != 0:
                    if 0 < value <= MOST and value == np.floor(value):
                        total += int(value)
                    else:
                        strange = True
            count[row] = total
        whole[sound] = not strange


@kernel
def repeat_events(first: int, last: int, n_steps: int, rows: np.ndarray, start: np.ndarray, index: np.ndarray) -> None:
    """List each neuron of sounds first to last as often as it spikes."""
    for row in range(first * n_steps, last * n_steps):
        event = start[row]
        for n in range(rows.shape[1]):
            for _ in range(int(rows[row, n])):
                index[event] = n
                event += 1


@kernel
def add_weighted_counts(
    first: int, last: int, index: np.ndarray, start: np.ndarray, time_weights: np.ndarray, counts: np.ndarray
) -> None:
    """``counts[b, k, n] = sum_t c[k, t] x[b, t, n]`` for sounds first to last; time_weights is c [K, T]."""
    n_sums, n_steps = time_weights.shape
    n_inputs = counts.shape[2]
    for sound in range(first, last):
        for k in range(n_sums):
            for n in range(n_inputs):
                counts[sound, k, n] = 0
            for t in range(n_steps):
                weight = time_weights[k, t]
                for event in range(at(start, sound * n_steps + t), at(start, sound * n_steps + t + 1)):
                    counts[sound, k, at(index, event)] += weight
