"""A batch of sounds as a network hears them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spikeloc.spikes import SpikeEvents

__all__ = ["Sounds"]


@dataclass(frozen=True)
class Sounds:
    """Sounds drawn from a stimulus: where each comes from, and the spikes of the auditory-nerve fibres it causes.

    angle    true angle in radians, positive on the right             [batch] float64
    events   the spikes as lists of events                            batch, time, fibre
    ears     sound pressure at the eardrums, pascal, left ear first   [batch, 2, samples] float32; None for tones
    """

    angle: Tensor
    events: SpikeEvents
    ears: np.ndarray | None = None

    @property
    def spikes(self) -> Tensor:
        """The spikes as a boolean tensor, axes batch, time, fibre; left ear first. Made anew at every call."""
        return self.events.to_dense()

    def __len__(self) -> int:
        return len(self.angle)
