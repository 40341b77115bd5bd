"""Compiled loops of the cochlea: filters and hair cells of all channels at once, and the spikes of the fibres.

Channels of both ears lie side by side, left ear first, padded to a multiple of 32 (``width``). Padded channels hear
nothing and never fire.
"""

from __future__ import annotations

import math

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.compiled.lanes import LANES, fill, inlined, load, lowest_bit, mask_bits, store
from spikeloc.randomness import word
from spikeloc.stimuli.marks import FULL, MORE, ROWS, list_rows

__all__ = ["STATES", "draw_nerve", "hear", "hear_all"]

U = np.uint64
STATES = 10  # of a channel: four complex filters, two low-pass filters
NOTHING = np.float32(1e-20)  # pascal: squares of less underflow in float32, and an envelope is not known
ZERO, FOUR = np.float32(0), np.float32(4)
TO_UNIT = 2.0**-40
LOW = U(2**24 - 1)


@inlined
def _fall_silent(state: np.ndarray) -> None:
    """Zero what digital silence has left of sounds: it would decay to denormal numbers, slow ones, and stay there."""
    for row in range(STATES):
        for c in range(state.shape[1]):
            value = state[row, c]
            state[row, c] = ZERO if abs(value) < NOTHING else value


@inlined
def hear(sound: np.ndarray, oversampling: int, design: tuple, state: np.ndarray, hazard: np.ndarray) -> None:  # type: ignore[type-arg]
    """Hazard (rate x dt) in each time step of one sound, continuing from ``state``, which is updated.

    sound [2, samples] pascal;  design as :class:`~spikeloc.stimuli.cochlea.CochleaDesign`;  state [STATES, width];
    hazard [steps, kinds, width], filled. All float32.
    """
    n_both, pole_re, pole_im, gain, smoothing, half, spontaneous, span = design
    n_ear = n_both // 2
    envelope = np.empty(len(pole_re), np.float32)
    sample, left, right = 0, ZERO, ZERO
    for step in range(len(hazard)):
        for _ in range(oversampling):
            left, right = sound[0, sample], sound[1, sample]
            sample += 1
            for c in range(len(pole_re)):
                a_re, a_im = pole_re[c], pole_im[c]
                re = a_re * state[0, c] - a_im * state[1, c] + (left if c < n_ear else right) * gain[c]
                im = a_re * state[1, c] + a_im * state[0, c]
                state[0, c], state[1, c] = re, im
                re, im = a_re * state[2, c] - a_im * state[3, c] + re, a_re * state[3, c] + a_im * state[2, c] + im
                state[2, c], state[3, c] = re, im
                re, im = a_re * state[4, c] - a_im * state[5, c] + re, a_re * state[5, c] + a_im * state[4, c] + im
                state[4, c], state[5, c] = re, im
                re, im = a_re * state[6, c] - a_im * state[7, c] + re, a_re * state[7, c] + a_im * state[6, c] + im
                state[6, c], state[7, c] = re, im
                envelope[c] = math.sqrt(re * re + im * im)
                rectified = max(re, ZERO) / (envelope[c] + NOTHING)
                rectified *= FOUR * rectified
                once = state[8, c] + smoothing * (rectified - state[8, c])
                state[8, c] = once
                state[9, c] += smoothing * (once - state[9, c])
        if not (left and right):
            _fall_silent(state)
        for kind in range(len(half)):
            for c in range(len(pole_re)):
                s = math.sqrt(envelope[c])
                hazard[step, kind, c] = spontaneous[kind, c] + span[kind, c] * s / (s + half[kind]) * state[9, c]


@kernel
def hear_all(
    first: int,
    last: int,
    sounds: np.ndarray,
    oversampling: int,
    design: tuple,  # type: ignore[type-arg]
    states: np.ndarray,
    hazard: np.ndarray,
) -> None:
    """:func:`hear` for sounds [B, 2, samples], states [B, STATES, width], hazard [B, steps, kinds, width]."""
    for i in range(first, last):
        hear(sounds[i], oversampling, design, states[i], hazard[i])


@inlined
def _exponential(bits: np.uint64) -> np.float32:
    """The upper 40 of 64 random bits as a random number with the density exp(-x)."""
    return np.float32(-math.log((np.float64(bits >> U(24)) + 0.5) * TO_UNIT))


@inlined
def _which(bits: np.uint64, n: np.uint64) -> np.uint64:
    """The lower 24 of 64 random bits as a random number from 0 to n - 1."""
    return ((bits & LOW) * n) >> U(24)


@kernel
def draw_nerve(
    first: int,
    last: int,
    sounds: np.ndarray,
    keys: np.ndarray,
    oversampling: int,
    design: tuple,  # type: ignore[type-arg]
    delays: np.ndarray,
    refractory: int,
    n_steps: int,
    neurons: np.ndarray,
    staged: np.ndarray,
    rooms: np.ndarray,
    begins: np.ndarray,
    sizes: np.ndarray,
    start: np.ndarray,
) -> None:
    """Spikes in the last ``n_steps`` time steps of each sound.

    The fibres of one kind of one channel share a hazard h, apart from their delays. Together they make a Poisson
    process of their number times h, each of whose events belongs to one of them, drawn evenly: so each has a Poisson
    process of its own, independent of the others, and at least one event in a step with the probability 1 - exp(-h).
    An event is a spike after the fibre's delay, unless the fibre is refractory then. The cost follows the spikes.

    neurons   see :func:`~spikeloc.stimuli.marks.byte_neurons`
    staged, rooms, begins, sizes, start      see :func:`~spikeloc.stimuli.marks.collect_spikes`
    """
    n_both, half = design[0], design[5]
    width, n_kinds, n_delays = len(design[1]), len(half), len(delays)
    n_groups = width // LANES
    n_heard = sounds.shape[2] // oversampling
    before = n_heard - n_steps
    hazard = np.empty((n_heard, n_kinds, width), np.float32)
    state = np.empty((STATES, width), np.float32)
    left = np.empty((n_kinds, width), np.float32)  # hazard until the next event
    ready = np.empty(n_delays * width, np.int64)  # first step in which a fibre can spike
    # A row of marks: first the left ear's bits, then the right ear's.
    row_words, ear_fibres = len(neurons) // 8, n_both // 2 * n_delays
    marks = np.empty(n_steps * row_words, np.uint64)
    marks8 = marks.view(np.uint8)
    rows_at_once = np.int64(ROWS) if len(neurons) < 1024 else 65_536 // len(neurons)
    places = np.empty(rows_at_once * len(neurons) + np.int64(MORE), np.uint16)
    n = U(0)
    begins[first] = True
    for i in range(first, last):
        state[:], ready[:], marks[:] = 0, 0, 0
        hear(sounds[i], oversampling, design, state, hazard)
        key, drawn = keys[i], U(0)
        for kind in range(n_kinds):
            for c in range(width):
                left[kind, c] = _exponential(word(key, drawn)) if c < n_both else np.float32(np.inf)
                drawn += U(c < n_both)
        for heard in range(before - delays[-1], n_heard):
            for kind in range(n_kinds):
                n_fibres = (n_delays - kind + n_kinds - 1) // n_kinds
                for group in range(n_groups):
                    at = kind * n_groups + group
                    rest = load(left, at) - fill(np.float32(n_fibres)) * load(hazard, heard * n_kinds * n_groups + at)
                    store(left, at, rest)
                    bits = mask_bits(fill(ZERO) > rest)
                    while bits:
                        channel = group * LANES + lowest_bit(bits)
                        bits &= bits - U(1)
                        while left[kind, channel] < ZERO:
                            random = word(key, drawn)
                            drawn += U(1)
                            left[kind, channel] += _exponential(random)
                            rank = kind + n_kinds * np.int64(_which(random, U(n_fibres)))
                            step, fibre = heard + delays[rank] - before, channel * n_delays + rank
                            if 0 <= step < n_steps and step >= ready[fibre]:
                                ready[fibre] = step + 1 + refractory
                                bit = fibre if fibre < ear_fibres else fibre - ear_fibres + 32 * row_words
                                marks[step * row_words + (bit >> 6)] |= U(1) << U(bit & 63)
        before_this = n
        for step in range(0, n_steps, rows_at_once):
            some = U(rows_at_once if step + rows_at_once < n_steps else n_steps - step)
            n = list_rows(
                marks,
                marks8,
                U(step),
                some,
                neurons,
                places,
                staged,
                rooms[first],
                n,
                rooms[i + 1],
                start,
                U(i * n_steps + step + 1),
            )
            if n == FULL:
                sizes[i] = FULL
                return
        sizes[i] = n - before_this
