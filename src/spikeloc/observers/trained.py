"""A trained network as an observer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikeloc.network import Network
from spikeloc.readout import Decision, Readout
from spikeloc.spikes import SpikeEvents

__all__ = ["TrainedObserver"]

CHUNK = 256  # sounds at a time, so that memory does not grow with their number


@dataclass(frozen=True)
class TrainedObserver:
    """A network and its readout, for angles within +-limit radians."""

    network: Network
    readout: Readout
    limit: float

    def decide(self, spikes: Tensor | SpikeEvents) -> Decision:
        """Estimates for a batch of spike trains: batch, time, fibre."""
        decisions = []
        with torch.no_grad():
            for first in range(0, max(1, spikes.shape[0]), CHUNK):
                last = min(spikes.shape[0], first + CHUNK)
                part = spikes.sounds(first, last) if isinstance(spikes, SpikeEvents) else spikes[first:last]
                decisions.append(self.readout.decide(self.network(part, self.readout.output), self.limit))
        return join(decisions)

    def localise(self, spikes: Tensor | SpikeEvents) -> Tensor:
        """Estimated angles in radians, [batch]; positive on the right."""
        return self.decide(spikes).angle


def join(decisions: list[Decision]) -> Decision:
    """The decisions of consecutive batches as one."""
    uncertainties = [decision.uncertainty for decision in decisions if decision.uncertainty is not None]
    return Decision(
        torch.cat([decision.angle for decision in decisions]),
        torch.cat([decision.label for decision in decisions]),
        torch.cat(uncertainties) if uncertainties else None,
    )
