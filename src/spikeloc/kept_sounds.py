"""Sounds that are used again are drawn once and then kept, as one bit for each bin.

A training set that stays the same over the epochs could be drawn anew in each of them, because a sound is a function of
its place in a stream; reading bits takes a third of that time. A set that would need more than 64 MiB is drawn anew all
the same, so memory does not grow with the number of sounds.
"""

from __future__ import annotations

import numpy as np
import torch

from spikeloc.spikes import SpikeEvents, words_of
from spikeloc.stimuli import Sounds, Stimulus

__all__ = ["KeptSounds"]

MOST_BYTES = 2**26


class KeptSounds:
    """The first ``n`` sounds of a stream, from which :func:`spikeloc.batches.batches_of` draws as from a stimulus."""

    def __init__(self, stimulus: Stimulus, n: int) -> None:
        self.stimulus = stimulus
        words = words_of(stimulus.n_fibres)
        self._bits = np.zeros((n, stimulus.n_steps, words), dtype=np.uint64)  # takes memory where it is written to
        self._angle = np.zeros(n)
        self._known = np.zeros(n, dtype=np.bool_)

    @staticmethod
    def pays(stimulus: Stimulus, n: int) -> bool:
        """Whether so many sounds are few enough to be kept, and made of spikes alone."""
        return stimulus.kind == "tone" and 8 * n * stimulus.n_steps * words_of(stimulus.n_fibres) <= MOST_BYTES

    @property
    def n_steps(self) -> int:
        """Time steps of a sound."""
        return self.stimulus.n_steps

    def draw(self, *, seed: int, stream: str, indices: np.ndarray) -> Sounds:
        """The sounds with these indices; ``seed`` and ``stream`` must be the same in every call."""
        if self._known[indices].all():
            events = SpikeEvents.from_bits(self._bits, self.stimulus.n_fibres, indices)
            return Sounds(torch.from_numpy(self._angle[indices]), events)
        sounds = self.stimulus.draw(seed=seed, stream=stream, indices=indices)
        self._bits[indices] = sounds.events.to_bits()
        self._angle[indices] = sounds.angle.numpy()
        self._known[indices] = True
        return sounds
