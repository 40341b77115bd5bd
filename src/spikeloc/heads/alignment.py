"""Onset delays of impulse responses, and the responses with those delays taken out.

A response is cut into when it starts and what it is from then on, so that each can be interpolated by itself: two
responses that start at different times, simply averaged, would start twice.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LEAD", "align", "cut", "onsets"]

LEAD = 16  # samples of an aligned response before its onset: room for what band-limited delays spread ahead of it
THRESHOLD = 0.1  # of the peak: the part of a response that says it has begun
OVERSAMPLING = 16
FADE = 16  # samples over which the end of a cut response fades out


def onsets(responses: np.ndarray) -> np.ndarray:
    """When each response first reaches a tenth of its peak: [..., taps] -> samples [...] float64, not whole numbers.

    The response is oversampled 16 times by its Fourier series, and the crossing is a straight line between two points.
    """
    taps = responses.shape[-1]
    padded = 2 * taps
    fine = np.fft.irfft(np.fft.rfft(responses, padded), padded * OVERSAMPLING)[..., : taps * OVERSAMPLING]
    size = np.abs(fine) / np.maximum(np.abs(fine).max(axis=-1, keepdims=True), np.finfo(float).tiny)
    after = np.argmax(size >= THRESHOLD, axis=-1)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(size, index[..., None], -1)[..., 0] for index in (before, after))
    part = np.where(high > low, (THRESHOLD - low) / np.where(high > low, high - low, 1), 0.0)
    return (before + np.clip(part, 0, 1)) / OVERSAMPLING


def align(responses: np.ndarray, taps: int) -> tuple[np.ndarray, np.ndarray]:
    """Responses moved so that every onset lies at sample ``LEAD``, and the onsets.

    responses    any number of axes, then time              [..., any]
    returns      aligned responses [..., taps] float32; their onsets in samples of the given ones [...] float64

    They are moved by band-limited (Fourier) delays, cut to ``taps`` samples and faded out at the end.
    """
    start = onsets(responses)
    length = 2 * (responses.shape[-1] + taps)
    cycles = np.fft.rfftfreq(length)  # per sample
    spectrum = np.fft.rfft(responses, length) * np.exp(2j * np.pi * cycles * (start - LEAD)[..., None])
    return cut(np.fft.irfft(spectrum, length), taps).astype(np.float32), start


def cut(responses: np.ndarray, taps: int) -> np.ndarray:
    """The first ``taps`` samples of responses, the last 16 of them fading out: [..., any] -> [..., taps]."""
    short = responses[..., :taps].copy()
    short[..., taps - FADE :] *= np.cos(np.linspace(0, np.pi / 2, FADE, endpoint=False)) ** 2
    return short
