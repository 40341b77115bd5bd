"""From marks to spikes: one bit for each bin, row by row, becomes a list of neurons.

A row is a time step and holds the left ear's bits, then the right ear's. Bits are listed in two rounds by the same
means: first the bytes that are not zero, then the bits of these. A table says what a byte adds to a list, and eight
places are written whether or not all are filled, so no branch depends on chance.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from spikeloc.compiled import inlined, over_sounds
from spikeloc.compiled.bits import PLACES, bytes_above, count_ones, write_sums
from spikeloc.spikes import SpikeEvents

__all__ = ["FULL", "MORE", "ROWS", "byte_neurons", "collect_spikes", "list_rows"]

U = np.uint64
ZERO, ONE, TWO, EIGHT, SIXTEEN, BYTE = U(0), U(1), U(2), U(8), U(16), U(0xFF)
ALL, ALL_BUT_LAST_BYTE = U(2**64 - 1), U(2**56 - 1)

ROWS = 64  # at most this many rows are listed at once
MORE = 8  # places written beyond the last spike
FULL = U(2**63)  # a list that has no room for its spikes

ZEROS = np.zeros(16, dtype=np.uint8)


def byte_neurons(n_fibres: int) -> np.ndarray:
    """The neuron that the first bit of each byte of a row stands for: uint16 [bytes of a row].

    An ear has 16 times a power of two bytes. Its last byte belongs to no fibre and is never listed.
    """
    size = 16
    while 8 * (size - 1) < n_fibres:
        size *= 2
    first = 8 * np.arange(size)
    return np.concatenate([first, n_fibres + first]).astype(np.uint16)


@inlined
def list_rows(
    marks: np.ndarray,
    marks8: np.ndarray,
    first_row: np.uint64,
    n_rows: np.uint64,
    neurons: np.ndarray,
    places: np.ndarray,
    index: np.ndarray,
    begin: np.uint64,
    n: np.uint64,
    end: np.uint64,
    counts: np.ndarray,
    first_count: np.uint64,
) -> np.uint64:
    """Append the neurons of marked rows to index[begin:end], of which n are filled; returns the new n, or FULL.

    marks      uint64, rows of as many bytes as ``neurons`` (see :func:`byte_neurons`) has elements
    marks8     the same as bytes: a view made here would have its references counted in every call
    n_rows     at most ROWS, and at most 65536 bytes
    places     scratch, uint16 [bytes of ROWS rows + MORE]
    counts     counts[first_count + i] becomes the list's length after the i-th row
    """
    row_bytes = U(len(neurons))
    ear_bytes, origin = row_bytes >> ONE, first_row * row_bytes
    n_places, total = ZERO, n
    for row in range(n_rows):
        for place in range(row * row_bytes, (row + ONE) * row_bytes, SIXTEEN):
            low = marks[(origin + place) >> U(3)]
            ends_ear = (place + SIXTEEN) & (ear_bytes - ONE) == ZERO
            high = marks[((origin + place) >> U(3)) + ONE] & (ALL_BUT_LAST_BYTE if ends_ear else ALL)
            some = bytes_above(low, high, ZEROS, ZERO)
            write_sums(places, n_places, PLACES, some & BYTE, place)
            n_places += count_ones(some & BYTE)
            write_sums(places, n_places, PLACES, some >> EIGHT, place + EIGHT)
            n_places += count_ones(some >> EIGHT)
            total += count_ones(low) + count_ones(high)
        counts[first_count + row] = total
    if begin + total + U(MORE) > end:
        return FULL
    for i in range(n_places):
        within = U(places[i])
        byte = U(marks8[origin + within])
        write_sums(index, begin + n, PLACES, byte, U(neurons[within & (row_bytes - ONE)]))
        n += count_ones(byte)
    return n


def collect_spikes(
    draw: Callable[..., None],
    n_sounds: int,
    n_steps: int,
    n_neurons: int,
    room: np.ndarray,
    *arguments: object,
) -> SpikeEvents:
    """Spikes of a batch, drawn by the kernel ``draw(first, last, *arguments, staged, rooms, begins, sizes, start)``.

    room       spikes that each sound has room for at first; if that does not do, all are drawn again with twice as much
    staged     spikes of sounds [first, last), one after another, from rooms[first] on; those of sound s end before
               rooms[s + 1]                                                                     uint16
    rooms      running sum of the rooms                                                         [B + 1] uint64
    begins     to be set for sound ``first``, also where there is none                          [B + 1] bool
    sizes      spikes of each sound, or FULL, after which the kernel returns                    [B] uint64
    start      start[s T + t + 1] is how many were staged up to that row, from rooms[first] on  [B T + 1] uint64
    """
    start = np.zeros(n_sounds * n_steps + 1, dtype=np.uint64)
    while True:
        # How many spikes there are is not known before, so each range begins where those before it surely end.
        rooms = np.zeros(n_sounds + 1, dtype=np.uint64)
        np.cumsum(room.astype(np.uint64) + U(MORE), out=rooms[1:])
        staged = np.empty(int(rooms[-1]), dtype=np.uint16)
        begins, sizes = np.zeros(n_sounds + 1, dtype=bool), np.zeros(n_sounds, dtype=np.uint64)
        over_sounds(draw, n_sounds, *arguments, staged, rooms, begins, sizes, start)
        if not (sizes == FULL).any():
            break
        room = np.minimum(2 * room, n_neurons * n_steps)
    end = 0
    for first, last in pairwise([*np.flatnonzero(begins).tolist(), n_sounds]):
        place, size = int(rooms[first]), int(sizes[first:last].sum())
        staged[end : end + size] = staged[place : place + size]
        start[first * n_steps + 1 : last * n_steps + 1] += U(end)
        end += size
    return SpikeEvents(staged[:end], start.view(np.int64), n_sounds, n_steps, n_neurons)
