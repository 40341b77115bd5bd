"""Dense drawing: a random number for every bin, row by row, in loops that the compiler turns into vector code.

Row t of a sound has the key  word(sound key, t) = (k0, k1), 32 bits each, and fibre i in it the 32-bit number
``fibre_number(k0, k1, i)``. A fibre spikes if (number + 1/2) / 2^32 < p. The comparison is made in float32 first; bins
where that could be wrong, a few in a million, are decided again in float64.
"""

from __future__ import annotations

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.randomness import word
from spikeloc.stimuli.rate_law import probability_at

__all__ = ["draw_dense", "fibre_number"]

# Float32 rounding of p and of the random number together stay well below this.
UNSURE = np.float32(2e-6)
UNSURE_BITS = np.uint32(UNSURE.view(np.uint32))
MAGNITUDE = np.uint32(0x7FFFFFFF)


@kernel
def draw_dense(
    first: int,
    last: int,
    keys: np.ndarray,
    sin_time: np.ndarray,
    cos_time: np.ndarray,
    sin_fibre: np.ndarray,
    cos_fibre: np.ndarray,
    peak: float,
    power: float,
    coefficients: np.ndarray,
    index: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Draw sounds [first, last) into rows of ``index``; ``counts`` [B, T] gets the spikes up to and with each step."""
    n_steps, n_fibres = len(sin_time), sin_fibre.shape[1]
    p = np.empty(n_fibres, np.float32)
    gap = np.empty(n_fibres, np.float32)
    bits = gap.view(np.uint32)
    spiked = np.empty(n_fibres, np.uint8)
    fast = len(coefficients) == 0 and int(power) == power and power <= 64
    for sound in range(first, last):
        sines = sin_fibre[sound].astype(np.float32)
        cosines = cos_fibre[sound].astype(np.float32)
        n = 0
        for t in range(n_steps):
            key = word(keys[sound], np.uint64(t))
            if fast:
                _row_probability(np.float32(sin_time[t]), np.float32(cos_time[t]), sines, cosines, peak, power, p)
            else:
                for i in range(n_fibres):
                    sine = sin_time[t] * cos_fibre[sound, i] + cos_time[t] * sin_fibre[sound, i]
                    p[i] = probability_at(sine, peak, power, coefficients)
            _compare(np.uint32(key >> np.uint64(32)), np.uint32(key), p, gap)
            if _smallest(bits) < UNSURE_BITS:
                _decide_again(
                    key, sin_time[t], cos_time[t], sin_fibre[sound], cos_fibre[sound], peak, power, coefficients, gap
                )
            _signs(bits, spiked)
            n = _append(spiked, index[sound], n)
            counts[sound, t] = n


@kernel
def fibre_number(k0: np.uint32, k1: np.uint32, fibre: np.uint32) -> np.uint32:
    """A 32-bit hash of a fibre's index under a 64-bit key: multiply and xor-shift rounds, one to one for each key.

    Constants: C. Wellons's "triple32" (2018), found by search for the least bias; here the key enters in two places.
    """
    x = np.uint32(fibre ^ k0)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(17))) * np.uint32(0xED5AD4BB))
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(11))) + k1)
    x = np.uint32(x * np.uint32(0xAC4C1B51))
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(0x31848BAB))
    return np.uint32(x ^ np.uint32(x >> np.uint32(14)))


@kernel
def _row_probability(
    sin_t: np.float32,
    cos_t: np.float32,
    sines: np.ndarray,
    cosines: np.ndarray,
    peak: float,
    power: float,
    p: np.ndarray,
) -> None:
    """p = peak ((1 + sin(a + b)) / 2)^power by angle addition and repeated multiplication, in float32."""
    half, one = np.float32(0.5), np.float32(1)
    if power == 4:  # the seed's law, in one pass
        for i in range(len(p)):
            y = half * (one + (sin_t * cosines[i] + cos_t * sines[i]))
            y = y * y
            p[i] = np.float32(peak) * (y * y)
        return
    y = np.empty_like(p)
    for i in range(len(p)):
        y[i] = half * (one + (sin_t * cosines[i] + cos_t * sines[i]))
        p[i] = np.float32(peak)
    exponent = int(power)
    while exponent > 0:
        if exponent & 1:
            for i in range(len(p)):
                p[i] *= y[i]
        for i in range(len(p)):
            y[i] *= y[i]
        exponent >>= 1


@kernel
def _compare(k0: np.uint32, k1: np.uint32, p: np.ndarray, gap: np.ndarray) -> None:
    """gap = (number + 1/2) / 2^32 - p; signed conversion, because that is the one vector units have."""
    scale, half = np.float32(2.0**-32), np.float32(0.5)
    for i in range(len(p)):
        number = fibre_number(k0, k1, np.uint32(i)) ^ np.uint32(0x80000000)
        gap[i] = (np.float32(np.int32(number)) * scale + half) - p[i]


@kernel
def _smallest(bits: np.ndarray) -> np.uint32:
    """Smallest magnitude of float32 numbers, by their bits."""
    least = MAGNITUDE
    for i in range(len(bits)):
        least = min(least, np.uint32(bits[i] & MAGNITUDE))
    return least


@kernel
def _decide_again(
    key: np.uint64,
    sin_t: float,
    cos_t: float,
    sines: np.ndarray,
    cosines: np.ndarray,
    peak: float,
    power: float,
    coefficients: np.ndarray,
    gap: np.ndarray,
) -> None:
    """Put the exact sign where float32 is not sure of it."""
    for i in range(len(gap)):
        if abs(gap[i]) < UNSURE:
            p = probability_at(sin_t * cosines[i] + cos_t * sines[i], peak, power, coefficients)
            number = fibre_number(np.uint32(key >> np.uint64(32)), np.uint32(key), np.uint32(i))
            gap[i] = -1.0 if (number + 0.5) * 2.0**-32 < p else 1.0


@kernel
def _signs(bits: np.ndarray, spiked: np.ndarray) -> None:
    for i in range(len(bits)):
        spiked[i] = np.uint8(bits[i] >> np.uint32(31))


@kernel
def _append(spiked: np.ndarray, index: np.ndarray, n: int) -> int:
    """Append the positions of ones to index[n:], without a branch for each; nothing if there is no room."""
    if n + len(spiked) >= len(index):
        return n + int(spiked.sum())
    place = np.uint64(n)
    for i in range(np.uint64(len(spiked))):
        index[place] = np.uint16(i)
        place += np.uint64(spiked[i])
    return int(place)
