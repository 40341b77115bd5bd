"""Dense drawing: a byte of randomness for every bin, and more where that cannot decide.

An ear's fibres are padded to w, a multiple of sixteen. In step t of ear e (0 left, 1 right; T steps), the bin of
fibre f has the number b = w (e T + t) + f, and spikes if

    (byte + r) / 256 < p,    byte = byte b % 8 of word(key, b // 8), lowest first,    r = word(key, 2^63 + b) / 2^64.

For each of up to 1024 phases of the tone and each fibre, a table holds the bytes that decide without r.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spikeloc.compiled import inlined, kernel, trailing_zeros
from spikeloc.compiled.hashing import bytes_decided
from spikeloc.randomness import word
from spikeloc.stimuli.marks import FULL, MORE, ROWS, byte_neurons, list_rows
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.thinning_cells import CELL_BITS, CELLS, bin_probability, in_turns, over_arc, to_cells

__all__ = ["DenseTables", "dense_tables", "draw_dense"]

U = np.uint64
ZERO, ONE, TWO, FOUR, EIGHT, BYTE, BITS16, BITS32 = U(0), U(1), U(2), U(4), U(8), U(0xFF), U(0xFFFF), U(0xFFFFFFFF)
ALL, HALF = U(2**64 - 1), U(0xFFFF0000FFFF)  # of what 32 bytes decide: everything, or what the first 16 do
REST = U(2**63)
CELL_SHIFT = U(64 - CELL_BITS)
WIDE = U(16)
MOST_ROW_ENTRIES = 2**17  # of a table; fewer phases where there are many fibres


class DenseTables(NamedTuple):
    """What bins are decided by. Fibres are padded to w; the left ear's come first."""

    n_fibres: int
    """Of an ear."""
    row_bits: int
    """A turn has 2^row_bits phases."""
    row_low: np.ndarray
    """Bytes below this spike: uint8 [ear, phase, w], flat, and 16 more."""
    row_high: np.ndarray
    """Bytes above this do not: the same."""
    low: np.ndarray
    """The same for 16-bit numbers in each cell: uint16 [CELLS]."""
    high: np.ndarray
    """uint16 [CELLS]."""
    delay_turns: np.ndarray
    """Delays in 2^-64 turns: uint64 [ear, w], flat."""
    delays: np.ndarray
    """Delays in radians [ear, w], flat."""
    law: np.ndarray
    """step_angle, phase_shift, peak, power."""
    coefficients: np.ndarray
    """Of the law, see :class:`RateLaw`."""
    neurons: np.ndarray
    """See :func:`byte_neurons`."""


def dense_tables(law: RateLaw, bounds: tuple[np.ndarray, np.ndarray], delays: np.ndarray) -> DenseTables:
    """Tables for a law with these bounds in each cell, and delays [2, F] in radians."""
    n_fibres = delays.shape[1]
    width = -(-n_fibres // 16) * 16
    row_bits = max(7, min(10, (MOST_ROW_ENTRIES // width).bit_length() - 1))
    per_row = CELLS >> row_bits
    turns = in_turns(delays)
    cells = (per_row * np.arange(1 << row_bits)[:, None] + to_cells(turns)[:, None, :]) % CELLS
    padding = ((0, 0), (0, width - n_fibres))
    # A phase and a delay are each rounded down to a cell, so that one cell more may be reached.
    row_low, row_high = (
        np.pad(np.minimum(256 * over_arc(bound, per_row + 1, further), 255).astype(np.uint8)[cells], ((0, 0), *padding))
        for bound, further in zip(bounds, (np.minimum, np.maximum), strict=True)
    )
    low, high = (np.minimum(65536 * bound, 65535).astype(np.uint16) for bound in bounds)
    return DenseTables(
        n_fibres,
        row_bits,
        np.append(row_low, np.zeros(16, np.uint8)),
        np.append(row_high, np.zeros(16, np.uint8)),
        low,
        high,
        np.pad(turns, padding).reshape(-1),
        np.pad(delays, padding).reshape(-1),
        np.array([law.step_angle, law.phase_shift, law.peak, law.power]),
        law.coefficients,
        byte_neurons(n_fibres),
    )


@kernel
def draw_dense(
    first: int,
    last: int,
    keys: np.ndarray,
    offsets: np.ndarray,
    turns: np.ndarray,
    n_steps: int,
    step: np.uint64,
    tables: DenseTables,
    staged: np.ndarray,
    rooms: np.ndarray,
    begins: np.ndarray,
    sizes: np.ndarray,
    start: np.ndarray,
) -> None:
    """Draw sounds [first, last), for :func:`~spikeloc.stimuli.marks.collect_spikes`.

    See :func:`spikeloc.stimuli.thinning.draw_spikes` for the other arguments.
    """
    row_bytes = U(len(tables.neurons))
    most = min(U(ROWS), U(65536) // row_bytes)
    marks = np.zeros((most * row_bytes) >> U(3), dtype=np.uint64)
    marks8, marks32 = marks.view(np.uint8), marks.view(np.uint32)
    places = np.empty(most * row_bytes + U(MORE), dtype=np.uint16)
    unsettled = np.empty(((most * row_bytes) >> TWO) + ONE, dtype=np.uint64)
    n, room = ZERO, rooms[first]
    begins[first] = True
    for sound in range(U(first), U(last)):
        before, begin, end = n, ZERO, rooms[sound + ONE]
        while begin < U(n_steps) and n < FULL:
            rows = min(most, U(n_steps) - begin)
            n_unsettled = ZERO
            for row in range(rows):
                for ear in range(TWO):
                    turn = turns[sound, ear] + (begin + row) * step
                    n_unsettled = _draw_row(
                        keys[sound], ear, begin, row, U(n_steps), turn, tables, unsettled, n_unsettled, marks32
                    )
            for i in range(n_unsettled):
                _settle(unsettled[i], keys[sound], sound, begin, U(n_steps), offsets, turns, step, tables, marks32)
            counts = ONE + sound * U(n_steps) + begin
            n = list_rows(marks, marks8, ZERO, rows, tables.neurons, places, staged, room, n, end, start, counts)
            begin += rows
        sizes[sound] = FULL if n == FULL else n - before
        if n == FULL:
            return


@inlined
def _draw_row(
    key: np.uint64,
    ear: int,
    begin: np.uint64,
    row: int,
    n_steps: np.uint64,
    turn: np.uint64,
    tables: DenseTables,
    unsettled: np.ndarray,
    n_unsettled: np.uint64,
    marks: np.ndarray,
) -> np.uint64:
    """Mark an ear's spikes of step begin + row, at phase ``turn``; list what a byte does not decide."""
    width = U(len(tables.delays)) >> ONE
    n_groups, last_bits = (width + U(31)) >> U(5), HALF if width & WIDE != ZERO else ALL
    counter = (width >> U(3)) * (ear * n_steps + begin + row)
    place = ((ear << U(tables.row_bits)) + (turn >> U(64 - tables.row_bits))) * width
    column = (TWO * row + ear) * (U(len(tables.neurons)) >> U(3))
    about = (TWO * row + ear) << U(48)
    for group in range(n_groups):
        known = bytes_decided(key, counter + FOUR * group, tables.row_low, tables.row_high, place + (group << U(5)))
        if group == n_groups - ONE:
            known &= last_bits
        marks[column + group] = np.uint32(known)
        # Always written, and kept if there is anything: no branch to be guessed wrong.
        unsettled[n_unsettled] = about | group << U(32) | known >> U(32)
        n_unsettled += U(known > BITS32)
    return n_unsettled


@inlined
def _settle(
    entry: np.uint64,
    key: np.uint64,
    sound: int,
    begin: np.uint64,
    n_steps: np.uint64,
    offsets: np.ndarray,
    turns: np.ndarray,
    step: np.uint64,
    tables: DenseTables,
    marks: np.ndarray,
) -> None:
    """Decide the bins of one entry of the list; ``begin`` is the step of the first row of marks."""
    ear, t, group = (entry >> U(48)) & ONE, begin + (entry >> U(49)), (entry >> U(32)) & BITS16
    width = U(len(tables.delays)) >> ONE
    first, turn = (ear * n_steps + t) * width + (group << U(5)), turns[sound, ear] + t * step
    column = (entry >> U(48)) * (U(len(tables.neurons)) >> U(3)) + group
    unsure = entry & BITS32
    while unsure != ZERO:
        bit = trailing_zeros(unsure)
        unsure &= unsure - ONE
        fibre = (group << U(5)) + bit
        byte = (word(key, (first + bit) >> U(3)) >> (EIGHT * (bit & U(7)))) & BYTE
        rest = word(key, REST + first + bit)
        cell = (turn + tables.delay_turns[ear * width + fibre]) >> CELL_SHIFT
        number, low = byte << EIGHT | rest >> U(56), U(tables.low[cell])
        spike = U(number < low)
        if number - low <= U(tables.high[cell]) - low:
            delay = tables.delays[ear * width + fibre]
            p = bin_probability(t, offsets[sound, ear], delay, tables.law, tables.coefficients)
            spike = U((float(byte) + float(rest >> U(11)) * 2.0**-53) * 2.0**-8 < p)
        spike &= U(fibre < U(tables.n_fibres))
        marks[column] |= np.uint32(spike << bit)
