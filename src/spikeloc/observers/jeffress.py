"""Jeffress's place code: a bank of coincidence detectors, of which the one that counts most names the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from spikeloc.observers.coincidences import Ears, box, coincidences, hear, peak
from spikeloc.observers.fitting import ENOUGH_TO_TUNE, FittedObserver, least_error
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["Jeffress"]

WINDOWS = tuple(2 * math.pi / parts for parts in (32, 16, 8, 6, 4, 3, 2))


@dataclass(frozen=True)
class Jeffress(FittedObserver):
    """Best delay of the detector with the most coincidences (Jeffress, J. Comp. Physiol. Psychol. 41, 1948).

    window   width of the detectors' window, radians of the tone's phase
    """

    window: float

    enough: ClassVar[int | None] = ENOUGH_TO_TUNE

    @staticmethod
    def learn(stimulus: ToneStimulus, ears: Ears) -> np.ndarray:
        """Estimates with every window that may be taken: [batch, windows]."""
        counts = (coincidences(ears, box(window)) for window in WINDOWS)
        return np.stack([peak(each, stimulus.max_ipd) for each in counts], axis=1)

    @classmethod
    def fit_to(cls, stimulus: ToneStimulus, n_classes: int, learned: np.ndarray, angle: np.ndarray) -> Jeffress:
        """Take the window with the least mean absolute error on these sounds."""
        return Jeffress(stimulus, n_classes, least_error(WINDOWS, learned, angle))

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]."""
        counts = coincidences(hear(self.stimulus, events), box(self.window))
        return torch.from_numpy(peak(counts, self.stimulus.max_ipd))
