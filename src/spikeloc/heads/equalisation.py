"""Diffuse-field equalisation: taking out of a head's responses what they all have in common."""

from __future__ import annotations

import numpy as np

from spikeloc.heads.alignment import cut

__all__ = ["equalise", "minimum_phase"]

LOWEST, HIGHEST = 80.0, 0.85  # Hz; of half the sample rate: outside, the correction is constant
MOST = 30.0  # dB of correction either way from its median
LENGTH = 2048


def equalise(responses: np.ndarray, sample_rate: float, seconds: float) -> np.ndarray:
    """Responses divided by the minimum-phase response of their mean power: [D, 2, taps] -> [D, 2, other] float32."""
    power = (np.abs(np.fft.rfft(responses, LENGTH)) ** 2).mean(axis=(0, 1))
    frequencies = np.fft.rfftfreq(LENGTH, 1 / sample_rate)
    inside = np.flatnonzero((frequencies >= LOWEST) & (frequencies <= HIGHEST * sample_rate / 2))
    level = 10 * np.log10(np.maximum(power, np.finfo(float).tiny))
    middle = np.median(level[inside])
    level = np.clip(level, middle - MOST, middle + MOST)
    level[: inside[0]], level[inside[-1] :] = level[inside[0]], level[inside[-1]]
    correction = minimum_phase(10 ** (-level / 20))
    taps = max(responses.shape[-1], round(seconds * sample_rate))
    return cut(np.fft.irfft(np.fft.rfft(responses, LENGTH) * correction, LENGTH), taps).astype(np.float32)


def minimum_phase(magnitude: np.ndarray) -> np.ndarray:
    """The minimum-phase spectrum of a magnitude at F evenly spaced frequencies up to half the sample rate.

    log H is the Fourier transform of the causal part of the cepstrum. Source: Oppenheim & Schafer, Discrete-Time Signal
    Processing, section on the Hilbert transform of the log magnitude.
    """
    length = 2 * (len(magnitude) - 1)
    cepstrum = np.fft.irfft(np.log(magnitude), length)
    cepstrum[1 : length // 2] *= 2
    cepstrum[length // 2 + 1 :] = 0
    return np.exp(np.fft.rfft(cepstrum, length))
