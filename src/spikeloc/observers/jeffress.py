"""Jeffress's place code: a bank of coincidence detectors, of which the one that counts most names the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeloc.observers.coincidences import Ears, box, coincidences, hear, hear_training, least_error, peak
from spikeloc.observers.observer import TRAINING_SOUNDS, AngleObserver
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["Jeffress"]

WINDOWS = tuple(2 * math.pi / parts for parts in (32, 16, 8, 6, 4, 3, 2))


@dataclass(frozen=True)
class Jeffress(AngleObserver):
    """Best delay of the detector with the most coincidences (Jeffress, J. Comp. Physiol. Psychol. 41, 1948).

    window   width of the detectors' window, radians of the tone's phase
    """

    window: float

    @staticmethod
    def fit(stimulus: ToneStimulus, n_classes: int, *, seed: int, n_sounds: int = TRAINING_SOUNDS) -> Jeffress:
        """Fit on sounds of the stream "training". Raises UserError unless n_sounds >= 1."""
        return Jeffress.fit_to(stimulus, n_classes, *hear_training(stimulus, seed, n_sounds))

    @staticmethod
    def fit_to(stimulus: ToneStimulus, n_classes: int, ears: Ears, angle: np.ndarray) -> Jeffress:
        """Take the window with the least mean absolute error on these sounds, true angles [batch] in radians."""

        def estimate(part: Ears, window: float) -> np.ndarray:
            return peak(coincidences(part, box(window)), stimulus.max_ipd)

        return Jeffress(stimulus, n_classes, least_error(WINDOWS, estimate, ears, angle))

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]."""
        counts = coincidences(hear(self.stimulus, events), box(self.window))
        return torch.from_numpy(peak(counts, self.stimulus.max_ipd))
