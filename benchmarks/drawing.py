"""Time to draw 128 sounds: the stimulus on one and on two threads against the seed's NumPy code.

The seed's program never draws 128 sounds: it draws its set of 16,384 at once, 10.5 GB, in memory that the system has to
find first. So there are two comparisons: the set, as each program draws it (the seed at once, in a process of its own;
spikeloc batch by batch, as in training), and 128 sounds again and again, which at T = 100 is in memory that both
already have.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seed_program import draw_sounds
from summary import in_turns, seconds_of, summarise
from whole import launch

from spikeloc.stimuli import ToneStimulus

__all__ = ["draw_some", "measure_drawing"]

SOUNDS = 128
SET = 16_384
SEED_PROGRAM = Path(__file__).parent / "seed_program.py"


def measure_drawing(threads: int, quick: bool) -> list[dict[str, Any]]:
    """A row for each number of time steps and each way to draw."""
    rows = [] if quick else measure_set(threads)
    for steps, rounds in {100: 7, 1000: 3, 4000: 1}.items():
        if quick and steps > 1000:
            continue
        print(f"drawing: T = {steps}", flush=True)
        for name, summary in in_turns(timers(steps, threads), 1 if quick else rounds).items():
            rows.append({"steps": steps, "sounds": SOUNDS, "contender": name, **summary})
    return rows


def measure_set(threads: int) -> list[dict[str, Any]]:
    """Seconds for 128 sounds of the set at T = 100, as each program draws it.

    The seed's code does it twice. The first time it waits for memory that nobody used, which a virtual machine has to
    get from its host; the second time the machine still has what the first process gave back.
    """
    print(f"drawing: a set of {SET} sounds", flush=True)
    seconds = {
        "spikeloc, set": draw_some(ToneStimulus(), threads, SET // SOUNDS),
        "seed, set": [seconds_of_the_seeds_set() * SOUNDS / SET],
        "seed, set again": [seconds_of_the_seeds_set() * SOUNDS / SET],
    }
    return [{"steps": 100, "sounds": SET, "contender": name, **summarise(own)} for name, own in seconds.items()]


def seconds_of_the_seeds_set() -> float:
    """How long the seed's code draws its set in a process that has done nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(SEED_PROGRAM), "--draw-only", "--sounds", str(SET)]
        return float(launch(command, Path(folder))["printed"].split()[-2])


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
