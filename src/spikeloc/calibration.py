"""Calibration: whether an observer knows how wrong it is.

An observer that says "this angle, give or take that much" names a central interval for every probability. Of a
calibrated one, 68 % of the true angles lie in the 68 % intervals, 95 % in the 95 % intervals, and so on; and the sounds
of which it says that it is less sure are those where it errs more.

Each sound has a *level*: the probability of the smallest central interval that holds the true angle. The coverage at
probability p is the fraction of sounds whose level is at most p; levels of a calibrated observer are spread evenly
over 0 to 1 (Dawid, JASA 77, 1982; Gneiting, Balabdaoui & Raftery, JRSS B 69, 2007).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeloc.angles import wrap
from spikeloc.readout import Decision

__all__ = ["NOMINAL", "calibration", "levels_of_normal", "levels_of_posterior"]

NOMINAL = [k / 20 for k in range(21)]  # probabilities at which the coverage is given
GROUPS = 10  # of sounds of like uncertainty


def levels_of_normal(true: Tensor, decision: Decision) -> np.ndarray:
    """Levels of normal distributions about an observer's angles: erf(|error| / (sqrt(2) uncertainty)), float64 [n]."""
    if decision.uncertainty is None:
        raise ValueError("this observer does not say how sure it is")
    deviation = wrap(true - decision.angle).abs() / decision.uncertainty
    return torch.erf(deviation / 2**0.5).double().numpy()


def levels_of_posterior(below: np.ndarray) -> np.ndarray:
    """Levels of posteriors with this much probability below the true angles, [n]: |2 below - 1|."""
    levels: np.ndarray = np.abs(2 * below - 1)
    return levels


def calibration(
    true: Tensor,
    decision: Decision,
    levels: np.ndarray,
    interval: Callable[[int, int], tuple[float, float]],
) -> dict[str, Any]:
    """How well an observer's stated uncertainties, radians, agree with its errors about true angles [n], radians.

    | key                                  | meaning                                                               |
    |--------------------------------------|-----------------------------------------------------------------------|
    | `coverage_68`, `coverage_95`, `_ci95` | fraction of sounds within the 68 % and the 95 % intervals            |
    | `rms_uncertainty_deg`                | root mean square of what it says                                      |
    | `rms_error_deg`                      | root mean square of its errors                                        |
    | `nominal`, `coverage`                | the coverage at all probabilities from 0 to 1                         |
    | `stated_deg`, `found_deg`            | in tenths of the sounds, surest first: root mean squares of both      |

    levels      of the sounds, as above
    interval    gives the 95 % interval of a proportion: successes and n
    """
    if decision.uncertainty is None:
        raise ValueError("this observer does not say how sure it is")
    error = wrap(true - decision.angle).rad2deg().double().numpy()
    stated = decision.uncertainty.rad2deg().double().numpy()
    groups = np.array_split(np.argsort(stated, kind="stable"), min(GROUPS, len(stated)))
    found: dict[str, Any] = {"rms_uncertainty_deg": _rms(stated), "rms_error_deg": _rms(error)}
    for percent in (68, 95):
        covered = int((levels <= percent / 100).sum())
        found[f"coverage_{percent}"] = covered / len(levels)
        found[f"coverage_{percent}_ci95"] = list(interval(covered, len(levels)))
    return found | {
        "nominal": NOMINAL,
        "coverage": [float((levels <= p).mean()) for p in NOMINAL],
        "stated_deg": [_rms(stated[group]) for group in groups],
        "found_deg": [_rms(error[group]) for group in groups],
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
