"""Batches of sounds, the next one drawn while the present one is used."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spikeloc.stimuli import Sounds, ToneStimulus

__all__ = ["batches_of"]

AHEAD = 2  # batches drawn before they are needed


def batches_of(stimulus: ToneStimulus, indices: np.ndarray, size: int, *, seed: int, stream: str) -> Iterator[Sounds]:
    """The sounds with these indices of a stream, ``size`` at a time, in order; at most a few batches are in memory."""
    parts = [indices[first : first + size] for first in range(0, len(indices), size)]
    with ThreadPoolExecutor(1, thread_name_prefix="spikeloc-draw") as drawer:
        waiting = [drawer.submit(stimulus.draw, seed=seed, stream=stream, indices=part) for part in parts[:AHEAD]]
        try:
            for following in [*parts[AHEAD:], *[None] * min(AHEAD, len(parts))]:
                sounds = waiting.pop(0).result()
                if following is not None:
                    waiting.append(drawer.submit(stimulus.draw, seed=seed, stream=stream, indices=following))
                yield sounds
        finally:
            for task in waiting:
                task.cancel()
