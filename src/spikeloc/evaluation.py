"""Evaluation: observer x stimulus -> metrics. The metric contract lives here.

| key                                        | meaning                                                               |
|--------------------------------------------|-----------------------------------------------------------------------|
| `accuracy`, `accuracy_ci95`                | fraction of sounds put in the right class; Wilson interval            |
| `chance`                                   | 1 / classes                                                           |
| `mean_absolute_error_deg`, `..._ci95`      | mean of |true continuous angle - estimate|; normal interval           |
| `median_absolute_error_deg`                | its median                                                            |
| `quantisation_floor_deg`                   | a perfect classifier's mean absolute error: class width / 4           |
| `class_error_deg`                          | mean |true class - estimated class| x width: the seed's error         |
| `confusion`                                | counts, rows estimated, columns true                                  |
| `n_sounds`, `seed`                         | how many test sounds, from which stream                               |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeloc.angles import class_of_angle, class_width, wrap
from spikeloc.batches import batches_of
from spikeloc.errors import UserError
from spikeloc.observers.observer import Observer
from spikeloc.observers.trained import join
from spikeloc.readout import Decision
from spikeloc.runs import Run
from spikeloc.stimuli import ToneStimulus

__all__ = ["Trial", "evaluate", "observe", "score", "wilson_interval"]

BATCH = 256
Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True)
class Trial:
    """True angles of test sounds, radians [n], and what each observer decided about the same sounds."""

    angle: Tensor
    decisions: dict[str, Decision]


def observe(
    observers: Mapping[str, Observer], stimulus: ToneStimulus, n: int, *, seed: int, stream: str = "test"
) -> Trial:
    """Let observers decide about the same n fresh sounds, batch by batch. Raises UserError unless n >= 1."""
    if n < 1:
        raise UserError(f"the number of test sounds is {n}; it must be at least 1")
    angles: list[Tensor] = []
    decisions: dict[str, list[Decision]] = {name: [] for name in observers}
    for sounds in batches_of(stimulus, np.arange(n, dtype=np.int64), BATCH, seed=seed, stream=stream):
        angles.append(sounds.angle)
        for name, observer in observers.items():
            decisions[name].append(observer.decide(sounds.events))
    return Trial(torch.cat(angles), {name: join(parts) for name, parts in decisions.items()})


def evaluate(run: Run, *, sounds: int | None = None, seed: int | None = None) -> dict[str, Any]:
    """The metrics of a run's trained network on fresh test sounds; by default those its recipe asks for."""
    recipe = run.recipe
    n = recipe.evaluation.sounds if sounds is None else sounds
    seed = recipe.seed if seed is None else seed
    trial = observe({"network": run.observer()}, recipe.stimulus, n, seed=seed)
    metrics = score(trial.angle, trial.decisions["network"], recipe.readout.classes, recipe.stimulus.max_ipd)
    return {"recipe": recipe.name, **metrics, "n_sounds": n, "seed": seed}


def score(angle: Tensor, decision: Decision, n_classes: int, limit: float) -> dict[str, Any]:
    """The metric contract for decisions about sounds from true angles [n] in radians, within +-limit."""
    true = class_of_angle(angle, n_classes, limit)
    width = math.degrees(class_width(n_classes, limit))
    error = wrap(angle - decision.angle).abs().rad2deg()
    mean, half = float(error.mean()), Z95 * float(error.std(correction=0)) / math.sqrt(len(error))
    correct = int((true == decision.label).sum())
    confusion = torch.bincount(decision.label * n_classes + true, minlength=n_classes**2).reshape(n_classes, n_classes)
    return {
        "accuracy": correct / len(angle),
        "accuracy_ci95": list(wilson_interval(correct, len(angle))),
        "chance": 1 / n_classes,
        "mean_absolute_error_deg": mean,
        "mean_absolute_error_deg_ci95": [max(0.0, mean - half), mean + half],
        "median_absolute_error_deg": float(error.median()),
        "quantisation_floor_deg": width / 4,
        "class_error_deg": float((true - decision.label).abs().double().mean()) * width,
        "confusion": confusion.tolist(),
    }


def wilson_interval(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion, 95 % by default (Wilson 1927)."""
    p, zz = successes / n, z * z
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    # At the ends the formula gives 0 and 1 up to rounding.
    return max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0
