"""Kernels: derivatives of the surrogates in :mod:`spikeloc.neurons.surrogate`, 32 neurons at a time."""

from __future__ import annotations

import math

import numpy as np

from spikeloc.compiled.lanes import absolute, choose, fill, inlined, muladd, power_of_two, whole
from spikeloc.neurons.surrogate import SURROGATES, SurrogateName

__all__ = ["SURROGATE_CODES", "derivative", "exponential"]

SURROGATE_CODES: dict[SurrogateName, int] = {name: code for code, name in enumerate(SURROGATES)}

_SUPERSPIKE = SURROGATE_CODES["superspike"]
_SIGMOID = SURROGATE_CODES["sigmoid"]
_ARCTAN = SURROGATE_CODES["arctan"]
_TRIANGLE = SURROGATE_CODES["triangle"]
_GAUSSIAN = SURROGATE_CODES["gaussian"]

_LOG2_E = np.float32(1 / math.log(2))
# ln 2 in two parts: the first has so few bits that its products with whole numbers are exact.
_LN_2_HIGH, _LN_2_LOW = np.float32(0.693359375), np.float32(math.log(2) - 0.693359375)
_LOWEST = np.float32(-87)
_NOTHING = np.float32(1e-30)
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_HALF_PI, _ROOT_PI = np.float32(math.pi / 2), np.float32(math.sqrt(math.pi))
_TAYLOR = tuple(np.float32(1 / math.factorial(n)) for n in (7, 6, 5, 4, 3, 2))


@inlined
def exponential(x: np.ndarray) -> np.ndarray:
    """``exp(x)`` for x <= 0 within two units of the last place; zero below -87, where it leaves the normal numbers.

    x = n ln 2 + r with |r| <= (ln 2) / 2, where eight terms of exp(r) = 1 + r + r^2 / 2 + ... suffice for float32.
    """
    inside = x > fill(_LOWEST)
    x = choose(inside, x, fill(_ZERO))
    n = whole(x * fill(_LOG2_E))
    r = x - n * fill(_LN_2_HIGH) - n * fill(_LN_2_LOW)
    series = fill(_TAYLOR[0])
    for i in range(1, 6):
        series = muladd(series, r, fill(_TAYLOR[i]))
    return choose(inside, muladd(series, r * r, r + fill(_ONE)) * power_of_two(n), fill(_ZERO))


@inlined
def without_tail(code: int, g: np.ndarray) -> np.ndarray:
    """A gradient, zero where it is next to nothing: an exponential's tail leaves numbers that are slow to compute with.

    Products of numbers below 1.2e-38 take a processor a hundred times as long as others.
    """
    if code in (_SIGMOID, _GAUSSIAN):
        return choose(absolute(g) > fill(_NOTHING), g, fill(_ZERO))
    return g


@inlined
def derivative(code: int, slope: np.float32, x: np.ndarray) -> np.ndarray:
    """Derivative of the surrogate of that code at x = v - threshold; finite for every finite x."""
    one = fill(_ONE)
    y = fill(slope) * absolute(x)
    if code == _SUPERSPIKE:
        return one / ((one + y) * (one + y))
    if code == _SIGMOID:
        # g (1 - g) is even in x, so the exponential need not overflow.
        e = exponential(fill(_ZERO) - y)
        return fill(slope) * e / ((one + e) * (one + e))
    if code == _ARCTAN:
        y = fill(_HALF_PI) * y
        return fill(slope * _HALF) / (one + y * y)
    if code == _TRIANGLE:
        return fill(slope) * choose(one > y, one - y, fill(_ZERO))
    if code == _GAUSSIAN:
        return fill(slope / _ROOT_PI) * exponential(fill(_ZERO) - y * y)
    return choose(fill(_HALF) > y, fill(slope), fill(_ZERO))
