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

__all__ = ["FULL", "STATES", "draw_nerve", "hear", "hear_all"]

U = np.uint64
STATES = 10  # of a channel: four complex filters, two low-pass filters
FULL = U(2**63)  # spikes of a sound that its room does not hold
NOTHING = np.float32(1e-20)  # pascal: squares of less underflow in float32, and an envelope is not known
ZERO, FOUR = np.float32(0), np.float32(4)
TO_UNIT = 2.0**-53


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
def _exponential(key: np.uint64, number: np.uint64) -> np.float32:
    """Random number of a key with the density exp(-x)."""
    return np.float32(-math.log((np.float64(word(key, number) >> U(11)) + 0.5) * TO_UNIT))


@inlined
def _insert(found: np.ndarray, n: int, fibre: np.uint16) -> None:
    """Put a fibre into its place among the first n of ``found``, which ascend."""
    place = n
    while place > 0 and found[place - 1] > fibre:
        found[place] = found[place - 1]
        place -= 1
    found[place] = fibre


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
    rooms: np.ndarray,
    staged: np.ndarray,
    sizes: np.ndarray,
    start: np.ndarray,
) -> None:
    """Spikes in the last ``n_steps`` time steps of each sound, staged in a room of its own.

    A fibre spikes in the step in which its summed hazard passes a threshold drawn from exp(-x), and begins anew: so
    each step spikes with the probability 1 - exp(-hazard), whatever came before. A refractory fibre begins anew without
    a spike.

    rooms [B + 1] in staged;  sizes [B] spikes, or FULL;  start[row + 1] counts a sound's spikes up to that row.
    """
    n_both, half = design[0], design[5]
    width, n_kinds, n_delays = len(design[1]), len(half), len(delays)
    n_groups = width // LANES
    n_heard = sounds.shape[2] // oversampling
    before = n_heard - n_steps
    hazard = np.empty((n_heard, n_kinds, width), np.float32)
    state = np.empty((STATES, width), np.float32)
    left_over = np.empty((n_delays, width), np.float32)
    ready = np.empty((n_delays, width), np.int64)  # first step in which a fibre can spike
    found = np.empty(n_delays * width, np.uint16)
    for i in range(first, last):
        state[:] = 0
        ready[:] = 0
        hear(sounds[i], oversampling, design, state, hazard)
        key, drawn = keys[i], U(0)
        for rank in range(n_delays):
            for c in range(width):
                left_over[rank, c] = _exponential(key, drawn) if c < n_both else np.float32(np.inf)
                drawn += U(c < n_both)
        n, room = U(0), rooms[i + 1] - rooms[i]
        for step in range(n_steps):
            n_found = 0
            for rank in range(n_delays):
                row = ((before + step - delays[rank]) * n_kinds + rank % n_kinds) * n_groups
                for group in range(n_groups):
                    at = rank * n_groups + group
                    rest = load(left_over, at) - load(hazard, row + group)
                    store(left_over, at, rest)
                    bits = mask_bits(fill(ZERO) > rest)
                    while bits:
                        channel = group * LANES + lowest_bit(bits)
                        bits &= bits - U(1)
                        left_over[rank, channel] = _exponential(key, drawn)
                        drawn += U(1)
                        if step < ready[rank, channel]:
                            continue
                        ready[rank, channel] = step + 1 + refractory
                        _insert(found, n_found, np.uint16(channel * n_delays + rank))
                        n_found += 1
            if n + U(n_found) > room:
                n = FULL
                break
            for place in range(n_found):
                staged[rooms[i] + n + U(place)] = found[place]
            n += U(n_found)
            start[i * n_steps + step + 1] = n
        sizes[i] = n
