"""Pattern match: which stored pattern of responses do the present responses resemble most?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeloc.observers.coincidences import POINTS, Ears, box, coincidences, hear
from spikeloc.observers.fitting import FittedObserver
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["PatternMatch"]

STEP = POINTS // 64  # 64 detectors around the circle
WINDOW = 2 * math.pi / 16
TEMPLATES = 64


@dataclass(frozen=True, eq=False)
class PatternMatch(FittedObserver):
    """The angle whose stored pattern has the greatest cosine with the responses of 64 coincidence detectors.

        angle = argmax_s <r, r_s> / (|r| |r_s|)      refined by the parabola through the three patterns at the peak

    After Goodman, Benichoux and Brette (eLife 2:e01312, 2013). The patterns are mean responses to training sounds.

    angle      mean angle of the sounds behind each pattern, ascending    [templates] radians
    template   mean responses, of norm 1                                  [templates, detectors]
    """

    angle: np.ndarray
    template: np.ndarray

    @staticmethod
    def learn(stimulus: ToneStimulus, ears: Ears) -> np.ndarray:  # noqa: ARG004  (the responses need no stimulus)
        """Responses of the detectors: [batch, detectors]."""
        return responses(ears)

    @classmethod
    def fit_to(cls, stimulus: ToneStimulus, n_classes: int, learned: np.ndarray, angle: np.ndarray) -> PatternMatch:
        """Average the responses in equal parts of the range; parts without a sound have no pattern."""
        part = ((angle / stimulus.max_ipd + 1) / 2 * TEMPLATES).astype(np.int64).clip(0, TEMPLATES - 1)
        members = [np.flatnonzero(part == place) for place in range(TEMPLATES)]
        members = [member for member in members if len(member) > 0]
        means = np.array([angle[member].mean() for member in members])
        return PatternMatch(
            stimulus, n_classes, means, normalised(np.array([learned[member].mean(axis=0) for member in members]))
        )

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]."""
        likeness = normalised(responses(hear(self.stimulus, events))) @ self.template.T
        nearest = likeness.argmax(axis=1)
        if len(self.angle) < 3:
            return torch.from_numpy(self.angle[nearest])
        best = nearest.clip(1, len(self.angle) - 2)
        row = np.arange(len(best))
        x0, x1, x2 = (self.angle[best + side] for side in (-1, 0, 1))
        y0, y1, y2 = (likeness[row, best + side] for side in (-1, 0, 1))
        rise, fall = (y1 - y0) / (x1 - x0), (y1 - y2) / (x2 - x1)
        bend = (rise + fall) / (x2 - x0)
        vertex = (x0 + x1) / 2 + rise / np.where(bend > 0, 2 * bend, np.inf)
        return torch.from_numpy(np.where(bend > 0, vertex, self.angle[nearest]))


def responses(ears: Ears) -> np.ndarray:
    """Coincidences that each detector counts: [batch, detectors]."""
    # Half a coincidence is what rounding leaves of none.
    counts = coincidences(ears, box(WINDOW))[:, ::STEP]
    return np.where(counts > 0.5, counts, 0)


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of norm 1; a row of zeros stays."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.where(norm > 0, norm, 1)
    return unit
