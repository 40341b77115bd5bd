"""Equalisation-cancellation: delay and scale one ear until it cancels the other best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy import fft
from torch import Tensor

from spikeloc.observers.coincidences import POINTS, Ears, coincidences, gaussian, hear, peak
from spikeloc.observers.fitting import ENOUGH_TO_TUNE, FittedObserver, least_error
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["EqualisationCancellation"]

JITTERS = tuple(2 * math.pi / parts for parts in (64, 32, 16, 12, 8, 6, 4))


@dataclass(frozen=True)
class EqualisationCancellation(FittedObserver):
    """The delay that leaves least of the difference between the ears (Durlach, J. Acoust. Soc. Am. 35, 1963).

    An ear's excitation y(psi) is its spikes at every phase, blurred by a jitter in time. Over delays a and gains g, the
    residual E(a, g) = sum_psi (y_left(psi + a) - g y_right(psi))^2 is least at

        g = <y_left(. + a), y_right> / |y_right|^2,    E(a) = |y_left|^2 - <y_left(. + a), y_right>^2 / |y_right|^2

    so the delay that cancels best is the one of the greatest correlation: for one tone, the two ideas agree.

    jitter   standard deviation of the blur, radians of the tone's phase
    """

    jitter: float

    enough: ClassVar[int | None] = ENOUGH_TO_TUNE

    @staticmethod
    def learn(stimulus: ToneStimulus, ears: Ears) -> np.ndarray:
        """Estimates with every jitter that may be taken: [batch, jitters]."""
        return np.stack([cancelling_delay(ears, jitter, stimulus.max_ipd) for jitter in JITTERS], axis=1)

    @classmethod
    def fit_to(
        cls, stimulus: ToneStimulus, n_classes: int, learned: np.ndarray, angle: np.ndarray
    ) -> EqualisationCancellation:
        """Take the jitter with the least mean absolute error on these sounds."""
        return EqualisationCancellation(stimulus, n_classes, least_error(JITTERS, learned, angle))

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]."""
        return torch.from_numpy(cancelling_delay(hear(self.stimulus, events), self.jitter, self.stimulus.max_ipd))


def cancelling_delay(ears: Ears, jitter: float, limit: float) -> np.ndarray:
    """The delay within +-limit with the least residual, radians [batch]."""
    # -E is the squared correlation times a positive number, plus another: its peak is at the same delay, and a parabola
    # through three points of the one has its vertex where that of the other has.
    correlation = coincidences(ears, gaussian(jitter) ** 2)
    return peak(correlation**2, limit, between=True)


def residual(ears: Ears, jitter: float) -> np.ndarray:
    """E(a) at delays evenly spaced from 0 over the circle, with the best gain at each: [batch, POINTS]."""
    left, right = (spectrum * gaussian(jitter) for spectrum in (ears.left, ears.right))
    product = fft.irfft(left * right.conj(), POINTS)
    left_energy, right_energy = ((fft.irfft(ear, POINTS) ** 2).sum(axis=1, keepdims=True) for ear in (left, right))
    left_over: np.ndarray = left_energy - product**2 / np.maximum(right_energy, np.finfo(float).tiny)
    return left_over
