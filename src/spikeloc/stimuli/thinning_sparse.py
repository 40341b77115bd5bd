"""Sparse drawing: geometric skips from candidate to candidate within segments of similar probability.

An ear's time x fibre plane is cut into blocks of ``steps`` time steps (a power of two) by ``fibres`` fibres, small in
phase. Segment number g of a sound has the key word(sound key, g). Its bins are numbered fibre by fibre, and its j-th
candidate uses word(segment key, j): the upper half skips, the lower half accepts.
"""

from __future__ import annotations

import math

import numpy as np

from spikeloc.compiled import inlined, kernel, leading_zeros, trailing_zeros
from spikeloc.randomness import word
from spikeloc.stimuli.rate_law import probability_at

__all__ = ["draw_sparse", "exponential", "segment_shape"]

STEPS_ARC = 0.4  # phase that a segment spans in time, radians
FIBRES_ARC = 0.35  # and over its fibres
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
    """Draw sounds [first, last) into rows of ``index``; ``counts`` [B, T] gets the spikes up to and including a step."""
    n_steps, n_fibres = len(sin_time), sin_fibre.shape[1]
    marks = np.zeros((n_steps, (n_fibres + 63) // 64), np.uint64)
    for sound in range(first, last):
        marks[:] = np.uint64(0)
        sines, cosines = sin_fibre[sound], cos_fibre[sound]
        segment = 0
        for ear in range(2):
            begin = 0 if ear == 0 else n_left
            end = n_left if ear == 0 else n_fibres
            for t in range(0, n_steps, steps):
                for fibre in range(begin, end, fibres):
                    key = word(keys[sound], np.uint64(segment))
                    segment += 1
                    _draw_segment(
                        key,
                        t,
                        steps,
                        fibre,
                        min(fibre + fibres, end),
                        ear == 1 and reversed_right == 1,
                        sin_time,
                        cos_time,
                        sines,
                        cosines,
                        peak,
                        power,
                        coefficients,
                        marks,
                    )
        _read_marks(marks, index[sound], counts[sound])


@inlined
def _draw_segment(
    key: np.uint64,
    begin: int,
    steps: int,
    fibre: int,
    end_fibre: int,
    falling: bool,
    sin_time: np.ndarray,
    cos_time: np.ndarray,
    sin_fibre: np.ndarray,
    cos_fibre: np.ndarray,
    peak: float,
    power: float,
    coefficients: np.ndarray,
    marks: np.ndarray,
) -> None:
    n_steps = len(sin_time)
    last_step = min(begin + steps, n_steps) - 1
    earliest, latest = (end_fibre - 1, fibre) if falling else (fibre, end_fibre - 1)
    high = _largest_sine(
        sin_time[begin], cos_time[begin], sin_fibre[earliest], cos_fibre[earliest],
        sin_time[last_step], cos_time[last_step], sin_fibre[latest], cos_fibre[latest],
    )  # fmt: skip
    q = min(1.0, probability_at(high, peak, power, coefficients) * GUARD)
    if q < NEGLIGIBLE:
        return
    skip_scale = -1.0 / math.log1p(-q)
    shift, mask = _log2(steps), steps - 1
    n_bins = steps * (end_fibre - fibre)
    place, j = -1, np.uint64(0)
    while True:
        number = word(key, j)
        j += np.uint64(1)
        place += 1 + int(exponential(number >> np.uint64(32)) * skip_scale)
        if place >= n_bins:
            return
        t, i = begin + (place & mask), fibre + (place >> shift)
        if t >= n_steps:
            continue
        chance = float(np.int64(number & np.uint64(0xFFFFFFFF))) * 2.0**-32
        sine = sin_time[t] * cos_fibre[i] + cos_time[t] * sin_fibre[i]
        # No branch: about a third of the candidates fail, and a wrong guess costs more than a store.
        spikes = np.uint64(chance * q < probability_at(sine, peak, power, coefficients))
        marks[t, i >> 6] |= spikes << np.uint64(i & 63)


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
def _read_marks(marks: np.ndarray, index: np.ndarray, counts: np.ndarray) -> None:
    """Turn bits into indices, row by row, as far as there is room; counts are complete in any case."""
    n = 0
    for t in range(marks.shape[0]):
        for block in range(marks.shape[1]):
            bits = marks[t, block]
            while bits != np.uint64(0):
                if n < len(index):
                    index[n] = np.uint16(block * 64 + int(trailing_zeros(bits)))
                n += 1
                bits &= np.uint64(bits - np.uint64(1))
        counts[t] = n
