"""Sparse drawing: a Poisson number of candidates for each segment, thinned to the spikes' own rates.

A Poisson number of points with mean h = -ln(1 - p), the bin's hazard, is at least one with probability p. So the spikes
are the bins that hold a point of a Poisson process with h points in each bin on average, and that process is thinned
from one with a constant lambda >= h in every bin of a segment (Lewis & Shedler 1979). Such points are independent of
each other and may come in any order.

A segment is small in phase. A fibre's delay is d_min + s d + r, with d the phase of a step, s whole, 0 <= r < d and
d_min the least of its ear, so its bin in step t has nearly the phase of the ear's *row* t + s. A segment is R rows (a
power of two) of all fibres of an ear. Its lambda is one of 128 levels, and depends on the phase at which it begins.

There are 2^b slots, z for each fibre, the rest void. Segment s of ear e (of S segments) has c = 2^16 (e S + s) and

    n            candidates, a Poisson number with mean lambda R 2^b / z, by inversion of word(key, c)
    x            number of candidate j < n: half j % 2, lower first, of word(key, c + 1 + j // 2); its bits are
    slot         the lowest b,
    row          the next log2(R),
    u            and the other a = 32 - b - log2(R).

Candidate j is a point of its fibre in its row if lambda (u + r) / 2^a < h, with r = word(key, 2^63 + c + j) / 2^64.
"""

from __future__ import annotations

import math

import numpy as np

from spikeloc.compiled import inlined, kernel
from spikeloc.randomness import word
from spikeloc.stimuli.marks import FULL, MORE, list_rows
from spikeloc.stimuli.thinning_cells import CELL_BITS, bin_probability
from spikeloc.stimuli.thinning_sparse_tables import GUIDE_BITS, PHASE_BITS, SparseTables

__all__ = ["draw_sparse"]

U = np.uint64
ZERO, ONE, TWO, SIXTEEN, LOW32 = U(0), U(1), U(2), U(16), U(0xFFFFFFFF)
REST = U(2**63)
CELL_SHIFT = U(64 - CELL_BITS)


@kernel
def draw_sparse(
    first: int,
    last: int,
    keys: np.ndarray,
    offsets: np.ndarray,
    turns: np.ndarray,
    n_steps: int,
    step: np.uint64,
    tables: SparseTables,
    staged: np.ndarray,
    rooms: np.ndarray,
    begins: np.ndarray,
    sizes: np.ndarray,
    start: np.ndarray,
) -> None:
    """Draw sounds [first, last), for :func:`~spikeloc.stimuli.marks.collect_spikes`.

    See :func:`spikeloc.stimuli.thinning.draw_spikes` for the other arguments.
    """
    steps, margin, row_bytes = U(tables.steps), U(tables.margin), U(len(tables.neurons))
    n_segments = (U(n_steps) + margin + steps - ONE) >> U(tables.step_bits)
    # Row r of the marks is step r - margin.
    marks = np.empty(((n_segments * steps + margin) * row_bytes) >> U(3), dtype=np.uint64)
    marks8 = marks.view(np.uint8)
    places = np.empty(steps * row_bytes + U(MORE), dtype=np.uint16)
    row_turns = np.empty(steps, dtype=np.uint64)
    unsettled = np.empty(TWO * U(tables.n_thresholds), dtype=np.uint64)
    n, room = ZERO, rooms[first]
    begins[first] = True
    for sound in range(U(first), U(last)):
        before, end, counts = n, rooms[sound + ONE], ONE + sound * U(n_steps)
        marks[: (margin * row_bytes) >> U(3)] = ZERO
        for segment in range(n_segments):
            begin = segment * steps
            marks[((begin + margin) * row_bytes) >> U(3) : ((begin + margin + steps) * row_bytes) >> U(3)] = ZERO
            n_unsettled = ZERO
            for ear in range(TWO):
                turn = turns[sound, ear] + tables.first_turns[ear] + begin * step
                counter = (ear * n_segments + segment) << SIXTEEN
                n_unsettled = _draw_segment(
                    keys[sound], counter, ear, begin, turn, step, tables, row_turns, unsettled, n_unsettled, marks
                )
            for i in range(n_unsettled):
                _settle(
                    unsettled[i], keys[sound], sound, begin, n_steps, n_segments, offsets, turns, step, tables, marks
                )
            low, high = max(begin, margin), min(begin + steps, margin + U(n_steps))
            if low < high and n < FULL:
                n = list_rows(
                    marks,
                    marks8,
                    low,
                    high - low,
                    tables.neurons,
                    places,
                    staged,
                    room,
                    n,
                    end,
                    start,
                    counts + low - margin,
                )
        sizes[sound] = FULL if n == FULL else n - before
        if n == FULL:
            return


@inlined
def _draw_segment(
    key: np.uint64,
    counter: np.uint64,
    ear: int,
    begin: np.uint64,
    turn: np.uint64,
    step: np.uint64,
    tables: SparseTables,
    row_turns: np.ndarray,
    unsettled: np.ndarray,
    n_unsettled: np.uint64,
    marks: np.ndarray,
) -> np.uint64:
    """Mark the spikes of a segment that begins at row ``begin`` and phase ``turn``; list what tables do not decide."""
    for i in range(U(tables.steps)):
        row_turns[i] = turn + i * step
    level = U(tables.levels[turn >> U(64 - PHASE_BITS)])
    n = _poisson(word(key, counter), level, tables)
    slot_bits, row_bits = U(tables.slot_bits), U(len(tables.neurons)) << U(3)
    slot_mask, row_mask = (ONE << slot_bits) - ONE, U(tables.steps) - ONE
    slots, first_word = TWO * ear << slot_bits, (begin * row_bits) >> U(6)
    scale, width = tables.scales[level], U(tables.unsure)
    pairs, second = (n + ONE) >> ONE, ONE ^ (n & ONE)  # backwards: if n is odd, the first pair lacks its second half
    for pair in range(pairs):
        number = word(key, counter + pairs - pair)
        for half in range(TWO):
            x = number & LOW32 if half == ZERO else number >> U(32)
            slot, row = slots + TWO * (x & slot_mask), (x >> slot_bits) & row_mask
            cell = (row_turns[row] + tables.slots[slot]) >> CELL_SHIFT
            gap = ((x * scale) >> U(48)) - U(tables.low[cell])
            spike = gap >> U(63)  # the sign: no branch to be guessed wrong
            if half == ONE:
                spike &= second
            place = row * row_bits + tables.slots[slot + ONE]
            marks[first_word + (place >> U(6))] |= spike << (place & U(63))
            if gap <= width and (half == ZERO or second != ZERO):
                unsettled[n_unsettled] = ear << U(63) | (TWO * (pairs - ONE - pair) + half)
                n_unsettled += ONE
        second = ONE
    return n_unsettled


@inlined
def _poisson(number: np.uint64, level: np.uint64, tables: SparseTables) -> np.uint64:
    """Poisson number with the level's mean: how many of the distribution's 63-bit thresholds the number reaches."""
    number >>= ONE
    n = U(tables.guide[(level << U(GUIDE_BITS)) + (number >> U(63 - GUIDE_BITS))])
    row = level * U(tables.n_thresholds)
    while number >= tables.thresholds[row + n]:
        n += ONE
    return n


@inlined
def _settle(
    entry: np.uint64,
    key: np.uint64,
    sound: int,
    begin: np.uint64,
    n_steps: int,
    n_segments: np.uint64,
    offsets: np.ndarray,
    turns: np.ndarray,
    step: np.uint64,
    tables: SparseTables,
    marks: np.ndarray,
) -> None:
    """Decide one candidate of the list, of a segment that begins at row ``begin``."""
    ear, j = entry >> U(63), entry & LOW32
    counter = (ear * n_segments + (begin >> U(tables.step_bits))) << SIXTEEN
    number = word(key, counter + ONE + (j >> ONE))
    x = number & LOW32 if j & ONE == ZERO else number >> U(32)
    bits = U(tables.slot_bits)
    slot, row = x & ((ONE << bits) - ONE), begin + ((x >> bits) & (U(tables.steps) - ONE))
    turn = turns[sound, ear] + tables.first_turns[ear]
    level = U(tables.levels[(turn + begin * step) >> U(64 - PHASE_BITS)])
    entry_of_slot = TWO * ((ear << bits) + slot)
    cell = (turn + row * step + tables.slots[entry_of_slot]) >> CELL_SHIFT
    place = row * (U(len(tables.neurons)) << U(3)) + tables.slots[entry_of_slot + ONE]
    t = place // (U(len(tables.neurons)) << U(3)) - U(tables.margin)
    fibre = tables.slot_fibres[slot]
    if fibre >= U(tables.n_fibres) or t >= U(n_steps) or (x * tables.scales[level]) >> U(48) > U(tables.high[cell]):
        return
    bits += U(tables.step_bits)
    rest = word(key, REST + counter + j)
    chance = (float(x >> bits) + float(rest >> U(11)) * 2.0**-53) / float(ONE << (U(32) - bits))
    delay = tables.delays[ear * U(tables.n_fibres) + fibre]
    p = bin_probability(t, offsets[sound, ear], delay, tables.law, tables.coefficients)
    if chance * tables.lambdas[level] < -math.log1p(-p):
        marks[place >> U(6)] |= ONE << (place & U(63))
