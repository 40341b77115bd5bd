"""Time to draw 128 sounds: the stimulus on one and on two threads against the seed's NumPy code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from seed_program import draw_sounds
from summary import in_turns, seconds_of

from spikeloc.stimuli import ToneStimulus

__all__ = ["draw_some", "measure_drawing"]

SOUNDS = 128


def measure_drawing(threads: int, quick: bool) -> list[dict[str, Any]]:
    """A row for each number of time steps and each way to draw."""
    rows = []
    for steps, rounds in {100: 7, 1000: 3, 4000: 1}.items():
        if quick and steps > 1000:
            continue
        print(f"drawing: T = {steps}", flush=True)
        for name, summary in in_turns(timers(steps, threads), 1 if quick else rounds).items():
            rows.append({"steps": steps, "sounds": SOUNDS, "contender": name, **summary})
    return rows


def timers(steps: int, threads: int) -> dict[str, Callable[[], list[float]]]:
    """Who draws."""
    dt = 0.1 / steps
    stimulus = ToneStimulus(dt=dt)
    return {
        "spikeloc": partial(draw_some, stimulus, threads, 20),
        "spikeloc, one thread": partial(draw_some, stimulus, 1, 20),
        "seed": partial(seconds_of, partial(draw_sounds, SOUNDS, dt)),
    }


def draw_some(stimulus: ToneStimulus, threads: int, times: int, sounds: int = SOUNDS) -> list[float]:
    """Seconds of each of a few draws of different sounds."""
    with thread_count(threads):
        stimulus.draw(sounds, seed=0)
        return [
            seconds_of(partial(stimulus.draw, indices=np.arange(i * sounds, (i + 1) * sounds), seed=0))[0]
            for i in range(times)
        ]


@contextmanager
def thread_count(threads: int) -> Iterator[None]:
    """Threads that spikeloc uses meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
