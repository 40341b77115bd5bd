"""How likely a spike is at each phase of the tone.

The rate is R ((1 + sin theta) / 2)^k. With p = R dt its peak per time step, the probability of a spike in a bin is

    bin_start       p y^k,  y = (1 + sin theta) / 2, theta at the bin's start
    bin_integral    the average of that over the bin, which spans the angle d

and at most 1. For whole k, with x = theta - pi/2,

    y^k = cos(x/2)^(2k) = 4^-k [C(2k, k) + 2 sum_m C(2k, k - m) cos(m x)]

so the average over the bin multiplies cos(m x) at the bin's middle by sin(m d/2) / (m d/2). Both laws are functions of
sin theta alone and rise with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spikeloc.compiled import inlined, kernel
from spikeloc.errors import UserError

__all__ = ["RateLaw", "probability_at"]


@dataclass(frozen=True)
class RateLaw:
    """Spike probability as a function of sin(theta).

    peak         rate at the peak times the time step                  [1]
    power        k, at least 0                                         [1]
    kind         "bin_start" or "bin_integral"
    step_angle   d, the phase that passes in one time step             [rad]

    Raises UserError for the integral of a power that is not whole.
    """

    peak: float
    power: float
    kind: str
    step_angle: float

    def __post_init__(self) -> None:
        if self.kind == "bin_integral" and self.power != round(self.power):
            raise UserError(
                f"envelope_power is {self.power:g}, but the exact integral over a bin is known for whole powers only; "
                f"round it or use rate = 'bin_start'"
            )

    @property
    def phase_shift(self) -> float:
        """What to add to theta at a bin's start before taking the sine: the bin's middle for the integral."""
        return self.step_angle / 2 if self.kind == "bin_integral" else 0.0

    @property
    def coefficients(self) -> np.ndarray:
        """c_m of p = sum_m c_m cos(m x), float64 [k + 1], for the integral; empty for the law at the bin's start."""
        if self.kind == "bin_start":
            return np.zeros(0)
        k = round(self.power)
        m = np.arange(k + 1)
        weights = np.array([math.comb(2 * k, k - i) / 4**k * (2 if i else 1) for i in m])
        return self.peak * weights * np.sinc(m * self.step_angle / 2 / math.pi)

    @property
    def peak_probability(self) -> float:
        """Spike probability at the crest before it is clipped to 1."""
        # At the crest every cosine is one; asking the compiled law would compile it for this alone.
        return float(self.coefficients.sum()) if self.kind == "bin_integral" else self.peak

    def probability(self, theta: np.ndarray) -> np.ndarray:
        """Probability of a spike in bins that start at these phases in radians, float64, same shape."""
        sine = np.sin(theta + self.phase_shift)
        if self.kind == "bin_start":
            raw = self.peak * ((1 + sine) / 2) ** self.power
        else:
            # cos x = sin theta for x = theta - pi/2, so the series is a Chebyshev series in the sine.
            raw = np.polynomial.chebyshev.chebval(sine, self.coefficients)
        return np.clip(raw, 0.0, 1.0)


@inlined
def probability_at(sine: float, peak: float, power: float, coefficients: np.ndarray) -> float:
    """Spike probability, not clipped, where sin(theta + shift) is ``sine``."""
    if len(coefficients) > 0:
        return chebyshev(sine, coefficients)
    y = max(0.0, (1.0 + sine) / 2)
    if power == 4:  # the seed's; the common case must not wait for a loop
        y *= y
        return peak * (y * y)
    exponent = int(power)
    if exponent != power or exponent > 64:
        return peak * y**power
    value = peak
    while exponent > 0:
        if exponent & 1:
            value *= y
        y *= y
        exponent >>= 1
    return value


@kernel
def chebyshev(x: float, coefficients: np.ndarray) -> float:
    """sum_m c_m T_m(x) by Clenshaw's recurrence, which stays accurate at any degree."""
    after, following = 0.0, 0.0
    for m in range(len(coefficients) - 1, 0, -1):
        after, following = coefficients[m] + 2 * x * after - following, after
    return coefficients[0] + x * after - following
