"""Circular mean: the phase of each ear's spikes, one subtracted from the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeloc.observers.folding import fibre_phasors
from spikeloc.observers.observer import AngleObserver
from spikeloc.spikes import SpikeEvents

__all__ = ["CircularMean"]


@dataclass(frozen=True)
class CircularMean(AngleObserver):
    """Mean direction of each ear's spikes on the circle of the tone's period.

        z_ear = sum over spikes of exp(-i (t step_angle + delay_j)),    angle = arg(z_right conj z_left)

    Every fibre's delay is undone first, and the common phase cancels. After Fisher, Statistical Analysis of Circular
    Data (1993).
    """

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]; 0 without spikes."""
        undone = fibre_phasors(self.stimulus, events) * np.exp(-1j * np.concatenate(self.stimulus.fibre_delays))
        half = self.stimulus.fibres_per_ear
        left, right = undone[:, :half].sum(axis=1), undone[:, half:].sum(axis=1)
        return torch.from_numpy(np.angle(right * left.conj()))
