"""Equalisation-cancellation: delay and scale one ear until it cancels the other best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import fft
from torch import Tensor

from spikeloc.observers.coincidences import POINTS, Ears, gaussian, hear, hear_training, least_error, peak
from spikeloc.observers.observer import TRAINING_SOUNDS, AngleObserver
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["EqualisationCancellation"]

JITTERS = tuple(2 * math.pi / parts for parts in (64, 32, 16, 12, 8, 6, 4))


@dataclass(frozen=True)
class EqualisationCancellation(AngleObserver):
    """The delay that leaves least of the difference between the ears (Durlach, J. Acoust. Soc. Am. 35, 1963).

    An ear's excitation y(psi) is its spikes at every phase, blurred by a jitter in time. Over delays a and gains g, the
    residual E(a, g) = sum_psi (y_left(psi + a) - g y_right(psi))^2 is least at

        g = <y_left(. + a), y_right> / |y_right|^2,    E(a) = |y_left|^2 - <y_left(. + a), y_right>^2 / |y_right|^2

    so the delay that cancels best is the one of the greatest correlation: for one tone, the two ideas agree.

    jitter   standard deviation of the blur, radians of the tone's phase
    """

    jitter: float

    @staticmethod
    def fit(
        stimulus: ToneStimulus, n_classes: int, *, seed: int, n_sounds: int = TRAINING_SOUNDS
    ) -> EqualisationCancellation:
        """Fit on sounds of the stream "training". Raises UserError unless n_sounds >= 1."""
        return EqualisationCancellation.fit_to(stimulus, n_classes, *hear_training(stimulus, seed, n_sounds))

    @staticmethod
    def fit_to(stimulus: ToneStimulus, n_classes: int, ears: Ears, angle: np.ndarray) -> EqualisationCancellation:
        """Take the jitter with the least mean absolute error on these sounds, true angles [batch] in radians."""

        def estimate(part: Ears, jitter: float) -> np.ndarray:
            return peak(-residual(part, jitter), stimulus.max_ipd, between=True)

        return EqualisationCancellation(stimulus, n_classes, least_error(JITTERS, estimate, ears, angle))

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]."""
        left_over = residual(hear(self.stimulus, events), self.jitter)
        return torch.from_numpy(peak(-left_over, self.stimulus.max_ipd, between=True))


def residual(ears: Ears, jitter: float) -> np.ndarray:
    """E(a) at delays evenly spaced from 0 over the circle, with the best gain at each: [batch, POINTS]."""
    left, right = (spectrum * gaussian(jitter) for spectrum in (ears.left, ears.right))
    product = fft.irfft(left * right.conj(), POINTS)
    left_energy, right_energy = ((fft.irfft(ear, POINTS) ** 2).sum(axis=1, keepdims=True) for ear in (left, right))
    left_over: np.ndarray = left_energy - product**2 / np.maximum(right_energy, np.finfo(float).tiny)
    return left_over
