"""Cross-correlation of the sound pressures at the two ears, as microphones would: what a network of spikes has to beat.

    r(lag) = sum over f of  w(f) L(f) conj(R(f)) exp(2 pi i f lag)      the lag of its peak is the time difference

`ear_correlation` has w = 1; `gcc_phat` has w = 1 / |L R*|, so that only phases count (Knapp & Carter 1976). Where there
is next to no sound (60 dB below the strongest frequency) the weight stops growing, because there only rounding noise
has a phase. A table of the head's own delays turns the lag into an azimuth: each direction's lag is what the same
method finds for white noise from there, made monotone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from spikeloc.angles import class_of_angle
from spikeloc.errors import UserError
from spikeloc.heads import Head, load_head
from spikeloc.readout import Decision
from spikeloc.stimuli import SceneStimulus
from spikeloc.stimuli.rendering import render
from spikeloc.stimuli.sources import generator
from spikeloc.stimuli.waveforms import fast_length, white_noise

__all__ = ["EarCorrelation", "ear_observers", "peak_lag"]

LONGEST_LAG = 1e-3  # seconds: beyond any head
OVERSAMPLING = 8
FAINT = 1e-6  # of the strongest frequency's power: -60 dB
TABLE_SECONDS, TABLE_KEY = 0.5, 2024


@dataclass(frozen=True)
class EarCorrelation:
    """Azimuths from the lag of the ears' correlation, by the table of one head.

    phat        whether all frequencies count alike
    n_classes   classes over the range of azimuths
    limit       azimuths lie within minus this and this, radians
    """

    head: Head
    phat: bool
    sample_rate: float
    n_classes: int
    limit: float

    def decide_ears(self, ears: np.ndarray) -> Decision:
        """Estimates for sound pressures [batch, 2, samples], left ear first. Raises UserError for another shape."""
        if ears.ndim != 3 or ears.shape[1] != 2:
            raise UserError(f"the sounds have shape {list(ears.shape)}; expected [batch, 2, samples], left ear first")
        azimuths, lags = _table(self.head, self.phat, self.sample_rate, self.limit)
        angle = torch.from_numpy(np.interp(peak_lag(ears, self.sample_rate, phat=self.phat), lags, azimuths))
        return Decision(angle, class_of_angle(angle, self.n_classes, self.limit))

    def localise(self, ears: np.ndarray) -> Tensor:
        """Estimated azimuths in radians, [batch]; positive on the right."""
        return self.decide_ears(ears).angle


def ear_observers(stimulus: SceneStimulus, n_classes: int, head: str | None = None) -> dict[str, EarCorrelation]:
    """Both correlations, with the table of the stimulus's first head or of the head named."""
    table = load_head(stimulus.heads[0] if head is None else head)
    return {
        name: EarCorrelation(table, phat, stimulus.sample_rate, n_classes, min(stimulus.limit, math.pi / 2))
        for name, phat in (("gcc_phat", True), ("ear_correlation", False))
    }


def peak_lag(ears: np.ndarray, sample_rate: float, *, phat: bool) -> np.ndarray:
    """By how much the right ear leads, in seconds: [batch, 2, samples] -> [batch] float64; 0 if an ear hears nothing.

    The correlation is evaluated eight times as finely as the samples, and its peak refined by a parabola.
    """
    length = fast_length(2 * ears.shape[2])
    spectra = np.fft.rfft(ears, length)
    cross = spectra[:, 0] * spectra[:, 1].conj()
    if phat:
        magnitude = np.abs(cross)
        strongest = magnitude.max(axis=1, keepdims=True)
        cross /= np.maximum(magnitude, np.maximum(FAINT * strongest, np.finfo(np.float32).tiny))
    reach = min(math.ceil(LONGEST_LAG * sample_rate), ears.shape[2]) * OVERSAMPLING - 1
    fine = np.fft.irfft(cross, OVERSAMPLING * length)
    near = np.concatenate([fine[:, -reach:], fine[:, : reach + 1]], axis=1).astype(np.float64)
    top = np.clip(near.argmax(axis=1), 1, 2 * reach - 1)
    below, at, above = (near[np.arange(len(near)), top + step] for step in (-1, 0, 1))
    curve = below - 2 * at + above
    vertex = np.where(curve < 0, (below - above) / (2 * np.where(curve < 0, curve, -1)), 0)
    silent = ~np.all(np.any(ears, axis=2), axis=1)
    return np.where(silent, 0.0, (top - reach + vertex) / (sample_rate * OVERSAMPLING))


@lru_cache(maxsize=16)
def _table(head: Head, phat: bool, sample_rate: float, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths in radians, about a degree apart, and their lags in seconds, strictly ascending."""
    azimuths = np.linspace(-limit, limit, 2 * math.ceil(math.degrees(limit)) + 1)
    noise = white_noise(generator(TABLE_KEY, 0), round(TABLE_SECONDS * sample_rate))
    lags = np.concatenate(
        [peak_lag(render(noise, head, azimuth, sample_rate)[None], sample_rate, phat=phat) for azimuth in azimuths]
    )
    # From the front outwards, so that what cannot be told apart at the sides stays there.
    middle = len(lags) // 2
    lags[middle:] = np.maximum.accumulate(lags[middle:])
    lags[: middle + 1] = np.minimum.accumulate(lags[middle::-1])[::-1]
    return azimuths, lags + 1e-12 * np.arange(len(lags))
