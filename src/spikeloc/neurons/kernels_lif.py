"""Kernels: a layer of leaky integrate-and-fire neurons, one sound after another, 32 neurons at a time.

Forwards, a segment of time steps goes through simple loops one after another: currents, membranes, sums. What the way
back needs of the membranes is kept in one of two ways:

    every step     [sounds, 1, blocks, 2 + T, 32]        where that is small: nothing is computed twice
    at segments    [sounds, segments, blocks, 2, 32]     else: a segment's membranes are computed again from there

Either begins with the two steps before, v_{t-2} and v_{t-1} (zeros before the first step), and so does the scratch
that a segment is computed into.

Backwards, with G_t the gradient of v_t, S_t that of s_t, c_t what arrives at s_t from outside, and h' the surrogate's
derivative,

    G_t = S_t h'(v_t - 1) + (d v_{t+1} / d v_t) G_{t+1}
    S_t = c_t + what s_t does through the reset, if reset_gradient

with G_t = 0 where v_t is on the floor,

and the gradient of the current i_t, which is G_t (in `late_zero`, where s_{t-2} = 0), goes to the weights of the
step's events.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.compiled.lanes import (
    LANES,
    at,
    choose,
    fill,
    first_lanes,
    inlined,
    load,
    load_first,
    muladd,
    prefetch,
    store,
    store_first,
)
from spikeloc.neurons.kernels_rows import read_row, write_membrane, write_spikes
from spikeloc.neurons.kernels_surrogate import derivative, without_tail
from spikeloc.neurons.kernels_weights import (
    add_dense,
    add_to_rows,
    clear_chunk,
    currents,
    dense_currents,
    input_gradient,
)
from spikeloc.neurons.models import RESETS, Reset

__all__ = ["RESET_CODES", "SEGMENT", "run", "run_back"]

SEGMENT = 128  # time steps

RESET_CODES: dict[Reset, int] = {name: code for code, name in enumerate(RESETS)}
_TO_ZERO, _SUBTRACT, _LATE_ZERO, _LATE_SUBTRACT = (RESET_CODES[name] for name in RESETS)

_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def run(
    first: int,
    last: int,
    index: np.ndarray,
    start: np.ndarray,
    dense: np.ndarray,
    slabs: np.ndarray,
    decay: np.float32,
    reset: int,
    floor: np.float32,
    time_weights: np.ndarray,
    kept: np.ndarray,
    sums: np.ndarray,
    spikes: np.ndarray,
    bin_steps: int,
    membrane: np.ndarray,
    n_neurons: int,
) -> None:
    """Run sounds first to last; arrays of size zero are not wanted.

    index, start   see :class:`~spikeloc.spikes.SpikeEvents`
    dense          numbers of spikes instead of events    [sounds, T, N]
    slabs          see :mod:`spikeloc.neurons.kernels_weights`
    decay, reset   what a membrane keeps over a step; one of :data:`RESET_CODES`
    floor          the lowest potential
    time_weights   [K, T]
    kept           see this module's description
    sums           [K, sounds, H]
    spikes         in bins of ``bin_steps``    [sounds, bins, H]
    membrane       [sounds, T, H]
    """
    n_sums, n_steps = time_weights.shape
    n_blocks, n_kept = slabs.shape[0], kept.shape[3]
    scratch = np.empty((1, 1, 1, 2 + SEGMENT, LANES), dtype=np.float32)
    total = np.empty((n_sums + 1, LANES), dtype=np.float32)
    for sound in range(first, last):
        for block in range(n_blocks - 1, -1, -1):
            rows, place = scratch, np.int64(2)
            if n_kept > 2:
                rows, place = kept, (sound * n_blocks + block) * n_kept + 2
            store(rows, place - 2, fill(_ZERO))
            store(rows, place - 1, fill(_ZERO))
            for k in range(n_sums + 1):
                store(total, k, fill(_ZERO))
            for begin in range(0, n_steps, SEGMENT):
                end = min(n_steps, begin + SEGMENT)
                if n_kept == 2:
                    _copy_two(rows, place - 2, kept, _segment_row(sound, begin, block, kept))
                _currents(slabs, block, index, start, dense, sound * n_steps + begin, end - begin, rows, place)
                _membranes(reset, decay, floor, rows, place, end - begin)
                _add_sums(rows, place, begin, end, time_weights, total)
                if spikes.size > 0:
                    write_spikes(rows, place, sound, block, begin, end, n_steps, bin_steps, n_neurons, total, spikes)
                if membrane.size > 0:
                    write_membrane(rows, place, sound, block, begin, end, n_steps, n_neurons, membrane)
                if n_kept > 2:
                    place += SEGMENT
                else:
                    _copy_two(rows, SEGMENT, rows, 0)
            mask = first_lanes(n_neurons - block * LANES)
            for k in range(n_sums):
                store_first(sums, (k * sums.shape[1] + sound) * n_neurons + block * LANES, mask, load(total, k))


@inlined
def _currents(
    slabs: np.ndarray,
    block: int,
    index: np.ndarray,
    start: np.ndarray,
    dense: np.ndarray,
    step: int,
    n_steps: int,
    rows: np.ndarray,
    to: int,
) -> None:
    if dense.size > 0:
        dense_currents(slabs, block, dense, step, n_steps, rows, to)
    else:
        currents(slabs, block, index, start, step, n_steps, rows, to)


@inlined
def _segment_row(sound: int, begin: int, block: int, kept: np.ndarray) -> int:
    """Where the two steps before step ``begin`` are kept, if they are kept at segments."""
    n_segments, n_blocks = kept.shape[1:3]
    return ((sound * n_segments + begin // SEGMENT) * n_blocks + block) * 2


@inlined
def _copy_two(source: np.ndarray, row: int, target: np.ndarray, to: int) -> None:
    store(target, to, load(source, row))
    store(target, to + 1, load(source, row + 1))


@inlined
def _membranes(reset: int, decay: np.float32, floor: np.float32, rows: np.ndarray, place: int, n_steps: int) -> None:
    """Turn currents in rows ``place`` and on into membranes, rounded step by step as the reference engine rounds."""
    a, zero, one, lowest = fill(decay), fill(_ZERO), fill(_ONE), fill(floor)
    v_before, v = load(rows, place - 2), load(rows, place - 1)
    for row in range(place, place + n_steps):
        i = load(rows, row)
        if reset == _TO_ZERO:
            v_new = choose(v > one, zero, a * v) + i
        elif reset == _SUBTRACT:
            v_new = a * (v - choose(v > one, one, zero)) + i
        elif reset == _LATE_ZERO:
            v_new = choose(v_before > one, zero, a * v + i)
        else:
            v_new = a * v + i - choose(v_before > one, one, zero)
        if floor > -np.inf:
            v_new = choose(v_new > lowest, v_new, lowest)
        v_before, v = v, v_new
        store(rows, row, v)


@inlined
def _add_sums(rows: np.ndarray, place: int, begin: int, end: int, time_weights: np.ndarray, total: np.ndarray) -> None:
    """Add to total [K, 32] the weights of those steps begin to end at which a membrane is above threshold."""
    zero, one = fill(_ZERO), fill(_ONE)
    n_sums, n_steps = time_weights.shape
    for k in range(n_sums):
        sum_ = load(total, k)
        for t in range(begin, end):
            weight = fill(at(time_weights, k * n_steps + t))
            sum_ = sum_ + choose(load(rows, place + t - begin) > one, weight, zero)
        store(total, k, sum_)


@kernel
def run_back(
    first: int,
    last: int,
    index: np.ndarray,
    start: np.ndarray,
    dense: np.ndarray,
    slabs: np.ndarray,
    transposed: np.ndarray,
    decay: np.float32,
    reset: int,
    floor: np.float32,
    reset_gradient: bool,
    surrogate: int,
    slope: np.float32,
    time_weights: np.ndarray,
    kept: np.ndarray,
    g_sums: np.ndarray,
    g_spikes: np.ndarray,
    bin_steps: int,
    sounds_in_chunk: int,
    chunks: np.ndarray,
    g_inputs: np.ndarray,
    n_neurons: int,
) -> None:
    """Gradients of sounds first to last; arrays of size zero are absent (coming in) or not wanted (going out).

    dense                as forwards
    g_sums, g_spikes     gradients of sums [K, sounds, H] and of spikes in bins [sounds, bins, H]
    transposed, chunks   see :mod:`spikeloc.neurons.kernels_weights`
    g_inputs             [sounds, T, N]
    """
    n_sums, n_steps = time_weights.shape
    n_blocks, n_inputs = slabs.shape[0], slabs.shape[1] - 1
    scratch = np.empty((1, 1, 1, 2 + SEGMENT, LANES), dtype=np.float32)
    i = np.empty((1, 1, 1, SEGMENT if reset == _LATE_ZERO else 0, LANES), dtype=np.float32)
    g_i = np.empty((SEGMENT if g_inputs.size > 0 else 0, n_blocks * LANES), dtype=np.float32)
    g_block = np.empty((SEGMENT if dense.size > 0 else 0, LANES), dtype=np.float32)
    carried = np.empty((n_blocks, 3, LANES), dtype=np.float32)
    g_total = np.empty((n_sums, LANES), dtype=np.float32)
    for sound in range(first, last):
        if sound % sounds_in_chunk == 0:
            clear_chunk(chunks, sound // sounds_in_chunk)
        for row in range(3 * n_blocks):
            store(carried, row, fill(_ZERO))
        for begin in range((n_steps - 1) // SEGMENT * SEGMENT, -1, -SEGMENT):
            end = min(n_steps, begin + SEGMENT)
            step = sound * n_steps + begin
            for block in range(n_blocks):
                rows, place = scratch, np.int64(2)
                if kept.shape[3] > 2:
                    rows, place = kept, (sound * n_blocks + block) * kept.shape[3] + 2 + begin
                else:
                    _copy_two(kept, _segment_row(sound, begin, block, kept), rows, 0)
                    _currents(slabs, block, index, start, dense, step, end - begin, rows, place)
                    _membranes(reset, decay, floor, rows, place, end - begin)
                if i.size > 0:
                    _currents(slabs, block, index, start, dense, step, end - begin, i, np.int64(0))
                _gather_sums(g_sums, sound, block, n_neurons, g_total)
                base = (sound // sounds_in_chunk * n_blocks + block) * n_inputs
                _run_segment_back(
                    sound, block, begin, end, index, start, decay, reset, floor, reset_gradient, surrogate, slope,
                    time_weights, rows, place, i, carried, g_total, g_spikes, bin_steps, chunks, base, g_i, g_block,
                    n_neurons,
                )  # fmt: skip
                if g_block.size > 0:
                    add_dense(chunks, base, dense, step, end - begin, g_block, n_inputs)
            if g_inputs.size > 0:
                input_gradient(g_i, end - begin, transposed, g_inputs, step, n_inputs)


@inlined
def _gather_sums(g_sums: np.ndarray, sound: int, block: int, n_neurons: int, g_total: np.ndarray) -> None:
    """Copy one sound's gradient of sums, for one block of neurons, to g_total [K, 32]."""
    n_sums, n_sounds = g_sums.shape[:2]
    mask = first_lanes(n_neurons - block * LANES)
    for k in range(n_sums):
        store(g_total, k, load_first(g_sums, (k * n_sounds + sound) * n_neurons + block * LANES, mask))


@inlined
def _run_segment_back(
    sound: int,
    block: int,
    begin: int,
    end: int,
    index: np.ndarray,
    start: np.ndarray,
    decay: np.float32,
    reset: int,
    floor: np.float32,
    reset_gradient: bool,
    surrogate: int,
    slope: np.float32,
    time_weights: np.ndarray,
    rows: np.ndarray,
    place: int,
    i: np.ndarray,
    carried: np.ndarray,
    g_total: np.ndarray,
    g_spikes: np.ndarray,
    bin_steps: int,
    chunks: np.ndarray,
    base: int,
    g_i: np.ndarray,
    g_block: np.ndarray,
    n_neurons: int,
) -> None:
    """Steps end to begin of one sound and one block of neurons.

    rows, i   membranes, those of step begin in row ``place``; currents from row 0 on, for `late_zero`
    carried   G_{t+1}, and what S_t and S_{t-1} lose by late resets in steps after t    [blocks, 3, 32]
    g_i       gradient of the currents, if the inputs' is wanted                        [SEGMENT, blocks * 32]
    g_block   the same of this block, for dense input, whose weights' gradient comes later    [SEGMENT, 32]
    """
    n_sums, n_steps = time_weights.shape
    a, zero, one, lowest = fill(decay), fill(_ZERO), fill(_ONE), fill(floor)
    a_reset = fill(decay if reset_gradient else _ZERO)
    mask = first_lanes(n_neurons - block * LANES)
    late, later = 3 * block + 1, 3 * block + 2
    n_bins = (n_steps + bin_steps - 1) // bin_steps
    bin_row, into_bin = sound * n_bins + (end - 1) // bin_steps, (end - 1) % bin_steps
    g = load(carried, 3 * block)
    for t in range(end - begin - 1, -1, -1):
        row = sound * n_steps + begin + t
        prefetch(rows, place + t - SEGMENT)
        v = load(rows, place + t)
        h = derivative(surrogate, slope, v - one)
        c = zero
        for k in range(n_sums):
            c = muladd(load(g_total, k), fill(at(time_weights, k * n_steps + begin + t)), c)
        if g_spikes.size > 0:
            c = c + read_row(g_spikes, bin_row * n_neurons + block * LANES, mask)
            into_bin -= 1
            if into_bin < 0:
                bin_row, into_bin = bin_row - 1, bin_steps - 1
        if reset == _TO_ZERO:
            g = _above(floor, lowest, v, muladd(g, choose(v > one, zero, a) - a_reset * v * h, c * h))
            g_row = g = without_tail(surrogate, g)
        elif reset == _SUBTRACT:
            g_row = g = without_tail(surrogate, _above(floor, lowest, v, muladd(g, a - a_reset * h, c * h)))
        else:
            c = c - load(carried, late)
            store(carried, late, load(carried, later))
            if reset == _LATE_SUBTRACT:
                g_row = g = without_tail(surrogate, _above(floor, lowest, v, muladd(g, a, c * h)))
                store(carried, later, g if reset_gradient else zero)
            else:
                v_1 = load(rows, place + t - 1)
                g = _above(floor, lowest, v, muladd(g, choose(v_1 > one, zero, a), c * h))
                g = without_tail(surrogate, g)
                g_row = choose(load(rows, place + t - 2) > one, zero, g)
                store(carried, later, g * (a * v_1 + load(i, t)) if reset_gradient else zero)
        if g_i.size > 0:
            store(g_i, t * carried.shape[0] + block, g_row)
        if g_block.size > 0:
            store(g_block, t, g_row)
        else:
            add_to_rows(chunks, base, index, at(start, row), at(start, row + 1), g_row)
    store(carried, 3 * block, g)


@inlined
def _above(floor: np.float32, lowest: Any, v: Any, gradient: Any) -> Any:
    """The gradient (32 lanes, as all but floor) where a membrane is above its floor, else zero."""
    if floor > -np.inf:
        return choose(v > lowest, gradient, fill(_ZERO))
    return gradient
