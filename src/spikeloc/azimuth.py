"""Interaural phase, interaural time and azimuth: what an angle of this package means for a head.

    ITD = IPD / (2 pi f)                          time difference of a tone of frequency f
    ITD = (radius / c) (azimuth + sin azimuth)    Woodworth's rigid sphere, source far away, azimuth within +-90 deg

Azimuths are in radians from straight ahead, times in seconds; both are positive when the source is on the right, so
that the right ear leads. Source: Woodworth, Experimental Psychology (1938); path lengths around a sphere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikeloc.errors import UserError

__all__ = [
    "HEAD_RADIUS",
    "SPEED_OF_SOUND",
    "azimuth_error",
    "azimuth_of_ipd",
    "azimuth_of_itd",
    "ipd_of_itd",
    "itd_of_azimuth",
    "itd_of_ipd",
    "largest_ipd",
    "largest_itd",
]

HEAD_RADIUS = 0.0875  # metres: an adult's head
SPEED_OF_SOUND = 343.0  # metres per second, in air at 20 degrees Celsius
ROUNDING = 1e-6  # how far beyond the end a number of single precision may lie and still mean the end
NEWTON_STEPS = 6  # the slope is between 1 and 2, so that Newton's error is below rounding after five


def largest_itd(radius: float = HEAD_RADIUS) -> float:
    """The ITD of a source at 90 deg, in seconds: (radius / c) (pi / 2 + 1). Raises UserError unless radius > 0."""
    return _crossing_time(radius) * (math.pi / 2 + 1)


def largest_ipd(frequency: float, radius: float = HEAD_RADIUS) -> float:
    """The largest phase difference a head gives a tone, radians, not wrapped: above pi the phase is ambiguous."""
    return 2 * math.pi * _positive(frequency, "frequency", "Hz") * largest_itd(radius)


def itd_of_azimuth(azimuth: Tensor, radius: float = HEAD_RADIUS) -> Tensor:
    """ITD in seconds of azimuths in radians, float64, same shape; NaN for an azimuth outside +-90 deg."""
    inside = azimuth.double().clamp(-math.pi / 2, math.pi / 2)
    itd = _crossing_time(radius) * (inside + inside.sin())
    return torch.where(azimuth.abs() <= math.pi / 2 * (1 + ROUNDING), itd, math.nan)


def azimuth_of_itd(itd: Tensor, radius: float = HEAD_RADIUS) -> Tensor:
    """Azimuth in radians of ITDs in seconds, float64, same shape; NaN for an ITD that this head cannot make.

    Newton's method on x + sin x = c ITD / radius, which has one root.
    """
    limit = largest_itd(radius)
    sine_sum = itd.double().clamp(-limit, limit) / _crossing_time(radius)
    azimuth = sine_sum / 2
    for _ in range(NEWTON_STEPS):
        azimuth = azimuth - (azimuth + azimuth.sin() - sine_sum) / (1 + azimuth.cos())
    azimuth = azimuth.clamp(-math.pi / 2, math.pi / 2)
    return torch.where(itd.abs() <= limit * (1 + ROUNDING), azimuth, math.nan)


def itd_of_ipd(ipd: Tensor, frequency: float) -> Tensor:
    """ITD in seconds of phase differences in radians, for a tone of a frequency in Hz; float64, same shape."""
    return ipd.double() / (2 * math.pi * _positive(frequency, "frequency", "Hz"))


def ipd_of_itd(itd: Tensor, frequency: float) -> Tensor:
    """Phase difference in radians, not wrapped, of ITDs in seconds; float64, same shape."""
    return itd.double() * (2 * math.pi * _positive(frequency, "frequency", "Hz"))


def azimuth_of_ipd(ipd: Tensor, frequency: float, radius: float = HEAD_RADIUS) -> Tensor:
    """Azimuth in radians of phase differences of a tone; NaN where this head cannot make them."""
    return azimuth_of_itd(itd_of_ipd(ipd, frequency), radius)


def azimuth_error(true: Tensor, estimate: Tensor, frequency: float, radius: float = HEAD_RADIUS) -> Tensor:
    """|true azimuth - estimated azimuth| in radians, of true and estimated IPDs [batch] of a tone; float64 [batch].

    NaN where this head cannot make the true IPD; an estimate beyond the head's range counts as the range's end.
    """
    limit = largest_ipd(frequency, radius)
    nearest = estimate.double().clamp(-limit, limit)
    return (azimuth_of_ipd(true, frequency, radius) - azimuth_of_ipd(nearest, frequency, radius)).abs()


def _crossing_time(radius: float) -> float:
    return _positive(radius, "radius of the head", "m") / SPEED_OF_SOUND


def _positive(value: float, name: str, unit: str) -> float:
    if not 0 < value < math.inf:
        raise UserError(f"the {name} is {value} {unit}; it must be a positive number")
    return value
