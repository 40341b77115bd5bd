"""A rigid sphere as a head: the exact sound pressure on its surface.

    H(mu, theta) = 1 / mu^2  sum_m (2m + 1) (-i)^(m - 1) P_m(cos theta) / h_m'(mu)        mu = 2 pi f radius / c

theta is the angle between the source, which is far away, and the ear; h_m is the spherical Hankel function of the first
kind, P_m a Legendre polynomial. This H is relative to the pressure at the centre if the sphere were not there, in the
convention exp(-i w t); its conjugate is what a Fourier transform with exp(-i w t) of the impulse response gives.
Ears are at +-90 deg.

Source: Rayleigh 1904; Duda & Martens 1998, "Range dependence of the response of a spherical head model", eq. 1 for a
source at infinity. Checked in the tests against Kuhn's low-frequency and Woodworth's high-frequency limits.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from spikeloc.azimuth import HEAD_RADIUS, SPEED_OF_SOUND
from spikeloc.errors import UserError
from spikeloc.heads.alignment import LEAD
from spikeloc.heads.head import Head

__all__ = ["sphere_pressure", "spherical_head"]

SAMPLE_RATE = 48000.0
SPACING = 5  # degrees between directions
TAPS = 256
CITATION = "Duda & Martens 1998, J. Acoust. Soc. Am. 104(5), 3048-3058: exact response of a rigid sphere"


def sphere_pressure(frequency: np.ndarray, incidence: np.ndarray, radius: float = HEAD_RADIUS) -> np.ndarray:
    """Pressure on the sphere relative to the free field at its centre, phase included: complex128 [n, F].

    frequency    [F] Hz, at or above 0
    incidence    angle between the source and the point on the sphere    [n] rad
    """
    mu = np.maximum(2 * math.pi * frequency * radius / SPEED_OF_SOUND, 1e-3)
    terms = math.ceil(mu.max() + 4 * mu.max() ** (1 / 3) + 12)
    x = np.cos(incidence)[:, None]
    hankel, next_hankel = np.exp(1j * mu) / (1j * mu), -np.exp(1j * mu) * (mu + 1j) / mu**2  # h_0 and h_1
    legendre, next_legendre = np.ones_like(x), x  # P_0 and P_1
    total = np.zeros((len(x), len(mu)), dtype=np.complex128)
    for m in range(terms):
        with np.errstate(over="ignore", invalid="ignore"):  # h_m grows beyond all numbers where its term is nothing
            slope = m / mu * hankel - next_hankel  # h_m'
            term = (2 * m + 1) * (-1j) ** (m - 1) / slope
            hankel, next_hankel = next_hankel, (2 * m + 3) / mu * next_hankel - hankel
        total += legendre * np.where(np.isfinite(term), term, 0)
        legendre, next_legendre = next_legendre, ((2 * m + 3) * x * next_legendre - (m + 1) * legendre) / (m + 2)
    return np.conj(total / mu**2)


def arrival(incidence: np.ndarray, radius: float = HEAD_RADIUS) -> np.ndarray:
    """When the wave front reaches a point on the sphere, seconds after it would reach the centre.

    -(radius / c) cos(theta) on the lit side, (radius / c) (theta - 90 deg) in the shadow: Woodworth's paths.
    """
    path = np.where(incidence < math.pi / 2, -np.cos(incidence), incidence - math.pi / 2)
    return path * radius / SPEED_OF_SOUND


@cache
def spherical_head(radius: float = HEAD_RADIUS) -> Head:
    """A rigid sphere of a radius in metres with ears at +-90 deg, all around in steps of 5 deg. Raises UserError."""
    if not 0.02 <= radius <= 0.3:
        raise UserError(f"the radius of a spherical head is {radius:.4g} m; choose one between 0.02 m and 0.3 m")
    azimuths = np.radians(np.arange(-180 + SPACING, 181, SPACING, dtype=np.float64))
    incidence = np.arccos(np.clip(np.stack([-np.sin(azimuths), np.sin(azimuths)], axis=1), -1, 1))  # [D, 2]
    flat = incidence.ravel()
    frequencies = np.fft.rfftfreq(TAPS * 4, 1 / SAMPLE_RATE)
    delay = arrival(flat, radius)
    onset = np.exp(2j * math.pi * frequencies * (delay[:, None] - LEAD / SAMPLE_RATE))
    fade = np.cos(np.pi / 2 * np.clip((frequencies / (SAMPLE_RATE / 2) - 0.6) / 0.4, 0, 1)) ** 2
    responses = np.fft.irfft(sphere_pressure(frequencies, flat, radius) * onset * fade, TAPS * 4)[:, :TAPS]
    shape = (*incidence.shape, TAPS)
    return Head(
        f"spherical, radius {radius:.4g} m",
        SAMPLE_RATE,
        azimuths,
        responses.reshape(shape).astype(np.float32),
        (delay - delay.min()).reshape(incidence.shape),
        CITATION,
    )
