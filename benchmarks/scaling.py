"""How cost grows with sounds, spikes and time steps, of a training step and of drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from cases import Case
from drawing import draw_some
from summary import in_turns, summarise
from team import Team

from spikeloc.stimuli import ToneStimulus

__all__ = ["growth", "measure_scaling", "straight_line"]

SLICE = 0.1  # seconds each contender steps in a round


@dataclass(frozen=True)
class Axis:
    """What is varied from a case of 1000 time steps: its name, the values, and the case at a value."""

    name: str
    values: tuple[float, ...]
    case: Callable[[float], Case]
    others: tuple[str, ...] = ()


BASE = Case(1000)
AXES = (
    Axis("sounds", (32, 64, 128, 256, 512, 1024), lambda n: replace(BASE, sounds=int(n))),
    Axis(
        "rate_max",
        (125, 250, 500, 1000, 2000, 4000),
        lambda r: replace(BASE, rate_max=r),
        ("jax-sum", "spikingjelly"),
    ),
    Axis("steps", (100, 200, 500, 1000, 2000, 4000, 8000), lambda n: replace(BASE, steps=int(n))),
)


def measure_scaling(team: Team, threads: int, quick: bool) -> list[dict[str, Any]]:
    """A row for each axis, value and contender."""
    rows = []
    for axis in AXES:
        for value in axis.values[:: 3 if quick else 1]:
            print(f"scaling: {axis.name} = {value:g}", flush=True)
            rows += measure(team, axis, value, threads, quick)
    return rows


def measure(team: Team, axis: Axis, value: float, threads: int, quick: bool) -> list[dict[str, Any]]:
    """The training step and drawing at one value of an axis."""
    case = axis.case(value)
    names = [name for name in ("fused", *axis.others) if name in team.names]
    for name in names:
        team.build(name, case)
    timers = {name: partial(team.time, name, SLICE) for name in names}
    found = in_turns(timers, 1 if quick else 3)
    team.forget()
    stimulus = ToneStimulus(dt=case.dt, rate_max=case.rate_max)
    found["drawing"] = summarise(draw_some(stimulus, threads, 5 if quick else 20, case.sounds))
    spikes = stimulus.draw(case.sounds, seed=0).events.n_spikes
    about = {"axis": axis.name, "value": value, "case": case.to_json(), "spikes": spikes}
    return [{**about, "contender": name, **summary} for name, summary in found.items()]


def growth(rows: list[dict[str, Any]], axis: str, contender: str, against: str = "value") -> float:
    """Exponent of the power law between the two largest values: 1 is linear, 0 is constant."""
    points = [(row[against], row["median"]) for row in rows if (row["axis"], row["contender"]) == (axis, contender)]
    (x0, y0), (x1, y1) = sorted(points)[-2:]
    return math.log(y1 / y0) / math.log(x1 / x0)


def straight_line(rows: list[dict[str, Any]], axis: str, contender: str, against: str = "value") -> tuple[float, float]:
    """Intercept and slope of the straight line through cost, weighted for equal relative errors."""
    points = [(row[against], row["median"]) for row in rows if (row["axis"], row["contender"]) == (axis, contender)]
    x, y = np.array(points, dtype=float).T
    slope, intercept = np.polyfit(x, y, 1, w=1 / y)
    return float(intercept), float(slope)
