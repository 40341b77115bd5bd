"""Heads that nobody measured: variations of one that somebody did.

    H'(f; azimuth, ear) = H(f / size; azimuth, ear) 10^(g(f; azimuth, ear) / 20)

size is drawn evenly on a logarithmic scale, left and right are exchanged or not, and g is a smooth random function of
azimuth and of the logarithm of frequency, for each ear its own:

    g = d(f) / sqrt(7)  sum_(m = 0)^3  a_m(f) cos(m azimuth) + b_m(f) sin(m azimuth)

where a and b are normal numbers at octaves from 125 Hz, linear in between, and d(f) grows from a tenth of the amplitude
at low frequencies, whose waves bend around any head, to all of it at 4 kHz, where pinnae differ. The standard deviation
of g at any azimuth is sqrt(4 / 7) d(f). g has no phase, so interaural time differences change with the size only. A
network that is to hear through heads it does not know must not rely on what is one head's alone.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from spikeloc.heads.head import Head

__all__ = ["varied"]

LOWEST, OCTAVES = 125.0, 8  # Hz and number of the octaves at which gains are drawn
FULL_FROM = 5.0  # octaves above the lowest: from there on gains have their whole spread
LEAST = 0.1
ORDERS = 4  # of the series in azimuth
POINTS = 1024  # of the Fourier transform of a response


def varied(head: Head, rng: np.random.Generator, sizes: tuple[float, float], amplitude: float) -> Head:
    """A variation of a head.

    sizes       smallest and largest factor on its size
    amplitude   of the gains at high frequencies, dB: their standard deviation is 0.76 of it
    """
    size = math.exp(rng.uniform(*np.log(sizes)))
    turned = head.mirrored() if rng.random() < 0.5 else head
    points = max(POINTS, turned.responses.shape[-1])
    gain = 10 ** (_gains(turned, rng, points) * amplitude / 20)
    spectra = np.fft.rfft(turned.responses, points) * gain
    responses = np.fft.irfft(spectra, points)[..., : turned.responses.shape[-1]].astype(np.float32)
    return dataclasses.replace(turned, name=f"{head.name}, varied", responses=responses).scaled(size)


def _gains(head: Head, rng: np.random.Generator, points: int) -> np.ndarray:
    """g of an amplitude of 1 dB, [directions, 2, frequencies]."""
    knots = np.arange(OCTAVES)
    spreads = np.clip(knots / FULL_FROM, LEAST, 1) / math.sqrt(2 * ORDERS - 1)
    normal = rng.standard_normal((2, ORDERS, 2, OCTAVES)) * spreads  # ear, m, cosine or sine, octave
    octaves = np.log2(np.maximum(np.fft.rfftfreq(points, 1 / head.sample_rate), LOWEST) / LOWEST)
    below = np.minimum(octaves.astype(np.int64), OCTAVES - 2)
    part = np.clip(octaves - below, 0, 1)
    along = normal[..., below] * (1 - part) + normal[..., below + 1] * part  # [2, ORDERS, 2, frequencies]
    turns = np.arange(ORDERS)[:, None] * head.azimuths
    waves = np.stack([np.cos(turns), np.sin(turns)], axis=1)  # [ORDERS, 2, directions]
    return np.einsum("mwd,emwf->def", waves, along)
