"""What is known about the fibres of a stimulus: to which ear they belong, and what they are tuned to."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = ["Fibres"]


@dataclass(frozen=True)
class Fibres:
    """The fibres of both ears, in the order of a spike tensor's last axis.

    ear         0 left, 1 right                                             [fibre]
    frequency   that excites it most, hertz                                 [fibre]
    phase       of that frequency by which it answers late, radians         [fibre]
    reach       largest interaural phase difference of that frequency       [fibre]
    locking     how well its spikes keep to the phase, 0 not at all to 1    [fibre]
    """

    ear: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray
    reach: np.ndarray
    locking: np.ndarray

    def some(self, which: np.ndarray) -> Fibres:
        """Only those with these indices."""
        return Fibres(*(getattr(self, field.name)[which] for field in fields(self)))

    def channels(self) -> list[np.ndarray]:
        """The indices of the fibres of each frequency, from the lowest on."""
        return [np.flatnonzero(self.frequency == each) for each in np.unique(self.frequency)]
