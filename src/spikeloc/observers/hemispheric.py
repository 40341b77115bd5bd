"""Hemispheric code: two broadly tuned channels, whose balance tells the angle."""

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

__all__ = ["Hemispheric"]

BEST_DELAY = POINTS // 8  # +-45 deg, an eighth of a period
WINDOW = 2 * math.pi / 4  # broad tuning
KNOTS = 64


@dataclass(frozen=True, eq=False)
class Hemispheric(FittedObserver):
    """Balance (R - L) / (R + L) of two channels with best delays of +-45 deg, mapped to an angle.

    After McAlpine, Jiang and Palmer (Nature Neuroscience 4, 2001). The map is monotone, fitted on training sounds;
    beyond +-90 deg the balance is not, so that a wider range of angles is ambiguous.

    balance, angle   the map's knots, both ascending   each [knots]; angles in radians
    """

    balance: np.ndarray
    angle: np.ndarray

    @staticmethod
    def learn(stimulus: ToneStimulus, ears: Ears) -> np.ndarray:  # noqa: ARG004  (the balance needs no stimulus)
        """The balance of the two channels: [batch]."""
        return balance_of(ears)

    @classmethod
    def fit_to(cls, stimulus: ToneStimulus, n_classes: int, learned: np.ndarray, angle: np.ndarray) -> Hemispheric:
        """Isotonic regression of the angle on the balance, averaged between knots of equally many sounds."""
        order = np.argsort(learned, kind="stable")
        monotone = isotonic(angle[order])
        parts = np.array_split(np.arange(len(order)), min(KNOTS, len(order)))
        balances = np.array([learned[order[part]].mean() for part in parts])
        return Hemispheric(stimulus, n_classes, balances, np.array([monotone[part].mean() for part in parts]))

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]."""
        x, knots = balance_of(hear(self.stimulus, events)), self.balance
        angle = np.interp(x, knots, self.angle)
        # A knot is the mean of some sounds, so that some lie beyond the last: there the map goes on straight.
        for beyond, end, inner in ((x < knots[0], 0, 1), (x > knots[-1], -1, -2)):
            if len(knots) > 1 and knots[end] != knots[inner]:
                slope = (self.angle[end] - self.angle[inner]) / (knots[end] - knots[inner])
                angle = np.where(beyond, self.angle[end] + slope * (x - knots[end]), angle)
        return torch.from_numpy(angle)


def balance_of(ears: Ears) -> np.ndarray:
    """(R - L) / (R + L) of the two channels, [batch]; 0 without coincidences."""
    counts = coincidences(ears, box(WINDOW))
    left, right = counts[:, -BEST_DELAY], counts[:, BEST_DELAY]
    total = left + right
    # Half a coincidence is what rounding leaves of none.
    return np.where(total > 0.5, (right - left) / np.maximum(total, 0.5), 0)


def isotonic(values: np.ndarray) -> np.ndarray:
    """The ascending sequence with the least squared distance from values [n]: [n]. Pools neighbours that descend."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        mean, size = value, 1
        while means and means[-1] >= mean:
            before, pooled = means.pop(), sizes.pop()
            mean, size = (before * pooled + mean * size) / (pooled + size), pooled + size
        means.append(mean)
        sizes.append(size)
    return np.repeat(means, sizes)
