"""Observers: anything that turns the spikes of a batch of sounds into angles. All are evaluated by the same code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from spikeloc.angles import class_of_angle, class_width
from spikeloc.errors import UserError
from spikeloc.readout import Decision
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["TRAINING_SOUNDS", "AngleObserver", "Observer", "parts_of", "read_events", "require_tone"]

TRAINING_SOUNDS = 4096  # on which an observer with parameters is fitted
CHUNK = 256  # sounds at a time


class Observer(Protocol):
    """Anything that decides where the sounds of a batch come from."""

    def decide(self, spikes: Tensor | SpikeEvents, /) -> Decision:
        """Estimates for a batch of spike trains: batch, time, fibre."""
        ...


@dataclass(frozen=True)
class AngleObserver(ABC):
    """An observer that estimates the angle of a stimulus's sounds, and takes the class that the angle lies in.

    stimulus    the sounds it can read
    n_classes   classes over the stimulus's range of angles
    """

    stimulus: ToneStimulus
    n_classes: int

    def __post_init__(self) -> None:
        class_width(self.n_classes)  # refuses less than one class
        require_tone(self.stimulus, "this observer")

    @abstractmethod
    def estimate(self, events: SpikeEvents) -> Tensor:
        """Angles in radians, float64 [batch], on the whole circle."""

    def decide(self, spikes: Tensor | SpikeEvents) -> Decision:
        """Estimates within the stimulus's range; an angle outside is put at the nearer end. Raises UserError."""
        events, limit = read_events(spikes, self.stimulus), self.stimulus.max_ipd
        angles = [torch.empty(0, dtype=torch.float64)]
        for part in parts_of(events):
            angles.append(self.estimate(part))
        angle = torch.cat(angles).clamp(-limit, limit)
        return Decision(angle, class_of_angle(angle, self.n_classes, limit))

    def localise(self, spikes: Tensor | SpikeEvents) -> Tensor:
        """Estimated angles in radians, [batch]; positive on the right."""
        return self.decide(spikes).angle


def require_tone(stimulus: object, who: str) -> None:
    """Raises UserError unless the stimulus is a tone, whose phases and spike probabilities are known."""
    if not isinstance(stimulus, ToneStimulus):
        kind = getattr(stimulus, "kind", type(stimulus).__name__)
        raise UserError(
            f"{who} reads the phases of a tone, but the stimulus is a {kind}; give it a stimulus of kind tone"
        )


def parts_of(events: SpikeEvents) -> Iterator[SpikeEvents]:
    """A few sounds at a time, so that memory does not grow with their number."""
    if events.n_sounds <= CHUNK:
        # The very same object, for what is remembered of it.
        yield events
        return
    for first in range(0, events.n_sounds, CHUNK):
        yield events.sounds(first, min(first + CHUNK, events.n_sounds))


def read_events(spikes: Tensor | SpikeEvents, stimulus: ToneStimulus) -> SpikeEvents:
    """The spikes as events. Raises UserError unless they have the time steps and fibres of the stimulus."""
    expected = (stimulus.n_steps, stimulus.n_fibres)
    shape = tuple(spikes.shape)
    if len(shape) != 3 or shape[1:] != expected:
        raise UserError(
            f"the spikes have shape {list(shape)}; this observer reads [batch, {expected[0]}, {expected[1]}] "
            f"(batch, time, fibre), as its stimulus draws them"
        )
    return spikes if isinstance(spikes, SpikeEvents) else SpikeEvents.from_dense(spikes)
