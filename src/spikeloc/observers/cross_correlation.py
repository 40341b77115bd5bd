"""Cross-correlation of fibre pairs, one fibre of each ear, both tuned to the same phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeloc.observers.folding import fibre_phasors
from spikeloc.observers.observer import AngleObserver
from spikeloc.spikes import SpikeEvents

__all__ = ["CrossCorrelation"]


@dataclass(frozen=True)
class CrossCorrelation(AngleObserver):
    """Peak of the cross-correlation of fibre pairs with equal delays, filtered at the tone's frequency.

    The generalised cross-correlation of Knapp and Carter (IEEE Trans. ASSP 24, 1976) with all weight at one frequency,
    where a tone has its signal, summed over pairs (l, r) with delay_l = delay_r:

        z_j   = sum over the fibre's spikes of exp(-i t step_angle)
        angle = argmax_a Re[exp(-i a) sum_pairs z_r conj z_l] = arg sum_pairs z_r conj z_l

    Fibres are correlated before they are pooled, so the noise of two fibres meets itself: that is what it loses.
    """

    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch]; 0 without spikes."""
        phasors = fibre_phasors(self.stimulus, events)
        half = self.stimulus.fibres_per_ear
        left, right = (np.argsort(delays, kind="stable") for delays in self.stimulus.fibre_delays)
        pairs = phasors[:, half + right] * phasors[:, left].conj()
        return torch.from_numpy(np.angle(pairs.sum(axis=1)))
