"""Batches of sounds, the next one drawn while the present one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from spikeloc.stimuli import Sounds

__all__ = ["Drawn", "batches_of"]

AHEAD = 1  # draws that are under way or waiting
ROWS = 2**15  # time steps of all sounds of a draw, unless one batch has more


class Drawn(Protocol):
    """What sounds are drawn from: a stimulus, or sounds of one that are kept."""

    @property
    def n_steps(self) -> int:
        """Time steps of a sound."""

    def draw(self, *, seed: int, stream: str, indices: np.ndarray) -> Sounds:
        """The sounds with these indices of a stream."""


def batches_of(stimulus: Drawn, indices: np.ndarray, size: int, *, seed: int, stream: str) -> Iterator[Sounds]:
    """The sounds with these indices of a stream, ``size`` at a time, in order; at most a few batches are in memory.

    Small batches are drawn several at once: every draw has a fixed cost.
    """
    several = size * max(1, ROWS // (size * stimulus.n_steps))
    draws = [indices[first : first + several] for first in range(0, len(indices), several)]
    with ThreadPoolExecutor(1, thread_name_prefix="spikeloc-draw") as drawer:
        waiting = [drawer.submit(stimulus.draw, seed=seed, stream=stream, indices=part) for part in draws[:AHEAD]]
        try:
            for following in [*draws[AHEAD:], *[None] * min(AHEAD, len(draws))]:
                sounds = waiting.pop(0).result()
                if following is not None:
                    waiting.append(drawer.submit(stimulus.draw, seed=seed, stream=stream, indices=following))
                if len(sounds) <= size:
                    yield sounds
                    continue
                for first in range(0, len(sounds), size):
                    last = min(first + size, len(sounds))
                    ears = None if sounds.ears is None else sounds.ears[first:last]
                    yield Sounds(sounds.angle[first:last], sounds.events.sounds(first, last), ears)
        finally:
            for task in waiting:
                task.cancel()
