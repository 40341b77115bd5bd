"""Sparse drawing: geometric skips from candidate to candidate within segments of similar probability.

An ear's time x fibre plane is cut into blocks of ``steps`` time steps (a power of two) by ``fibres`` fibres, small in
phase; their bins are numbered fibre by fibre. With q the largest spike probability in a segment, each of its bins
costs the hazard h = -ln(1 - q), and an exponential variate is used up bin by bin, through as many segments as it
lasts: the bin in which it ends is a candidate, and spikes with probability p/q. The j-th candidate of a sound uses
word(sound key, j): the upper half makes the next exponential, the lower half accepts. (An exponential has no memory,
so nothing is drawn anew where a segment ends.)
"""

from __future__ import annotations

import math

import numpy as np

from spikeloc.compiled import inlined, kernel, leading_zeros, trailing_zeros
from spikeloc.randomness import word
from spikeloc.stimuli.rate_law import probability_at

__all__ = ["draw_sparse", "exponential", "segment_shape"]

STEPS_ARC = 0.3  # phase that a segment spans in time, radians
FIBRES_ARC = 0.2  # and over its fibres
MOST_STEPS = 1024
NEGLIGIBLE = 2.0**-45  # a segment this unlikely to hold a spike is left out
GUARD = 1 + 1e-9  # the bound on a segment's probabilities must survive rounding


def segment_shape(step_angle: float, delays: np.ndarray) -> tuple[int, int]:
    """Time steps (a power of two) and fibres of a segment."""
    steps = 1
    while steps < MOST_STEPS and 2 * steps * step_angle <= STEPS_ARC:
        steps *= 2
    spacing = abs(float(delays[1] - delays[0])) if len(delays) > 1 else math.inf
    return steps, max(1, int(FIBRES_ARC / spacing)) if spacing > 0 else len(delays)


@kernel
def draw_sparse(
    first: int,
    last: int,
    keys: np.ndarray,
    sin_time: np.ndarray,
    cos_time: np.ndarray,
    sin_fibre: np.ndarray,
    cos_fibre: np.ndarray,
    n_left: int,
    steps: int,
    fibres: int,
    reversed_right: int,
    peak: float,
    power: float,
    coefficients: np.ndarray,
    index: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Draw sounds [first, last) into rows of ``index``; ``counts`` [B, T] gets the spikes up to and with each step."""
    n_steps, n_fibres = len(sin_time), sin_fibre.shape[1]
    found = np.empty((index.shape[1], 2), np.int32)  # step and fibre of each spike, segment by segment
    for sound in range(first, last):
        counts[sound] = 0
        key, sines, cosines = keys[sound], sin_fibre[sound], cos_fibre[sound]
        j = np.uint64(0)
        left = exponential(word(key, j) >> np.uint64(32))
        n = 0
        for ear in range(2):
            begin, end = (0, n_left) if ear == 0 else (n_left, n_fibres)
            falling = ear == 1 and reversed_right == 1
            for t in range(0, n_steps, steps):
                for fibre in range(begin, end, fibres):
                    n, j, left = _draw_segment(
                        n, j, left, key, t, steps, fibre, min(fibre + fibres, end), falling,
                        sin_time, cos_time, sines, cosines, peak, power, coefficients, found, counts[sound],
                    )  # fmt: skip
        _sort_by_step(found, n, index[sound], counts[sound])


@inlined
def _draw_segment(
    n: int,
    j: np.uint64,
    left: float,
    key: np.uint64,
    begin: int,
    steps: int,
    fibre: int,
    end_fibre: int,
    falling: bool,
    sin_time: np.ndarray,
    cos_time: np.ndarray,
    sines: np.ndarray,
    cosines: np.ndarray,
    peak: float,
    power: float,
    coefficients: np.ndarray,
    found: np.ndarray,
    count: np.ndarray,
) -> tuple[int, np.uint64, float]:
    """Spikes of one segment; the sound had n spikes and j candidates before, and ``left`` is the exponential's rest."""
    n_steps = len(sin_time)
    last_step = min(begin + steps, n_steps) - 1
    earliest, latest = (end_fibre - 1, fibre) if falling else (fibre, end_fibre - 1)
    highest = _largest_sine(
        sin_time[begin], cos_time[begin], sines[earliest], cosines[earliest],
        sin_time[last_step], cos_time[last_step], sines[latest], cosines[latest],
    )  # fmt: skip
    q = probability_at(highest, peak, power, coefficients) * GUARD
    n_bins = steps * (end_fibre - fibre)
    if q < NEGLIGIBLE:
        return n, j, left
    hazard = -math.log1p(-q)
    if left >= hazard * n_bins:
        return n, j, left - hazard * n_bins
    per_bin, shift, mask, place = 1 / hazard, _log2(steps), steps - 1, 0
    while True:
        place += int(left * per_bin)
        if place >= n_bins:  # only by rounding
            return n, j, 0.0
        t, i = begin + (place & mask), fibre + (place >> shift)
        inside = t < n_steps
        t = min(t, n_steps - 1)
        sine = sin_time[t] * cosines[i] + cos_time[t] * sines[i]
        chance = float(np.int64(word(key, j) & np.uint64(0xFFFFFFFF))) * 2.0**-32
        # No branch: a good part of the candidates fails, and a wrong guess costs more than a store.
        spikes = int((chance * q < probability_at(sine, peak, power, coefficients)) & inside)
        found[n, 0], found[n, 1] = t, i
        count[t] += spikes
        n = min(n + spikes, len(found) - 1)
        j += np.uint64(1)
        left = exponential(word(key, j) >> np.uint64(32))
        place += 1
        rest = hazard * (n_bins - place)
        if left >= rest:
            return n, j, left - rest


@inlined
def _largest_sine(
    sin_t0: float, cos_t0: float, sin_f0: float, cos_f0: float,
    sin_t1: float, cos_t1: float, sin_f1: float, cos_f1: float,
) -> float:  # fmt: skip
    """Largest sine on the arc between two angles less than pi apart, each given as a sum of two."""
    sin_0, cos_0 = sin_t0 * cos_f0 + cos_t0 * sin_f0, cos_t0 * cos_f0 - sin_t0 * sin_f0
    sin_1, cos_1 = sin_t1 * cos_f1 + cos_t1 * sin_f1, cos_t1 * cos_f1 - sin_t1 * sin_f1
    return 1.0 if cos_0 >= 0 >= cos_1 else max(sin_0, sin_1)  # 1 where the arc passes the crest


@inlined
def _log2(power_of_two: int) -> int:
    return int(trailing_zeros(np.uint64(power_of_two)))


@inlined
def exponential(number: np.uint64) -> float:
    """-ln((number + 1/2) / 2^32) of a 32-bit number: an exponential variate, accurate to about 1e-12.

    The odd number 2 number + 1 is m 2^e with m in [1, 2); ln m = ln c + ln(1 + r), c the nearest of 128 table points.
    """
    odd = np.uint64(np.uint64(2) * number + np.uint64(1))
    zeros = leading_zeros(odd)
    mantissa = np.uint64(odd << zeros)
    entry = int((mantissa >> np.uint64(56)) & np.uint64(127))
    r = float(np.int64(mantissa >> np.uint64(1))) * 2.0**-62 * INVERSE[entry] - 1.0
    log1p = r * (1.0 + r * (-1 / 2 + r * (1 / 3 + r * (-1 / 4 + r * (1 / 5)))))
    return (float(np.int64(zeros)) - 30.0) * LN2 - LOG[entry] - log1p


_CENTRES = 1 + (np.arange(128) + 0.5) / 128
INVERSE, LOG = 1 / _CENTRES, np.log(_CENTRES)
LN2 = math.log(2)


@kernel
def _sort_by_step(found: np.ndarray, n: int, index: np.ndarray, counts: np.ndarray) -> None:
    """Fibres in the order of steps, rising within a step as they were found; ``counts`` becomes the running sum."""
    total = 0
    for t in range(len(counts)):
        counts[t], total = total, total + counts[t]
    if total > n:  # there was no room for all: only the counts are of use
        counts[-1] = total
        return
    for k in range(n):
        t = found[k, 0]
        index[counts[t]] = np.uint16(found[k, 1])
        counts[t] += 1
