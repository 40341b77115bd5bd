"""Thresholds in the metrics: just-noticeable differences of the ideal observer, of a network and of people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from spikeloc.observers.bounds import bounds
from spikeloc.observers.observer import Observer
from spikeloc.psychometrics import (
    JND_PER_SD,
    PEOPLE_HEAR_HZ,
    PEOPLE_JND_US,
    Threshold,
    just_noticeable_difference,
    psychometric_function,
)
from spikeloc.stimuli import ToneStimulus

__all__ = ["thresholds"]

MOST_SOUNDS = 2000  # for each interval
POINTS = 9  # of the psychometric function


def thresholds(observers: Mapping[str, Observer], stimulus: ToneStimulus, *, n: int, seed: int) -> dict[str, Any]:
    """Just-noticeable differences of observers by their names ("ideal" among them), measured with n sounds or fewer.

    | key                          | meaning                                                                      |
    |------------------------------|------------------------------------------------------------------------------|
    | an observer's name           | `ipd_deg`, `itd_us` and their `_ci95`; None where there is none in the range |
    | `network_over_ideal`, `_ci95` | the network's threshold as a multiple of the ideal observer's               |
    | `cramer_rao`                 | `ipd_deg`, `itd_us` of the bound: 0.954 of its standard deviation            |
    | `people`                     | `ipd_deg`, `itd_us`, `source`; only where people hear the timing of a tone   |
    | `psychometric_function`      | `ipd_deg`, and each observer's fraction correct at these differences; only   |
    |                              | where there is a network's to compare                                        |
    | `n_sounds`                   | sounds in each interval                                                      |
    """
    n = min(n, MOST_SOUNDS)
    found = {name: just_noticeable_difference(each, stimulus, n=n, seed=seed) for name, each in observers.items()}
    table: dict[str, Any] = {name: _written(threshold) for name, threshold in found.items()}
    if {"ideal", "network"} <= found.keys():
        table |= _ratio(found["network"], found["ideal"])
    table["n_sounds"] = n
    bound = JND_PER_SD * bounds(stimulus, 1).sd
    if 0 < bound < math.inf:
        table["cramer_rao"] = _in_units(bound, stimulus.frequency)
    low, high = PEOPLE_HEAR_HZ
    if low <= stimulus.frequency <= high:
        ipd = 2 * math.pi * stimulus.frequency * PEOPLE_JND_US * 1e-6
        table["people"] = {**_in_units(ipd, stimulus.frequency), "source": "Mills 1958, best thresholds for tones"}
    measured = [threshold.ipd for threshold in found.values() if threshold.ipd < math.inf]
    if measured and "network" in found:
        ipd = np.geomspace(min(measured) / 4, min(3 * max(measured), stimulus.max_ipd), POINTS)
        curves = psychometric_function(observers, stimulus, ipd.tolist(), n=max(1, n // 2), seed=seed)
        table["psychometric_function"] = {"ipd_deg": np.rad2deg(ipd).tolist(), **curves}
    return table


def _written(threshold: Threshold) -> dict[str, Any]:
    low, high = (_in_units(end, threshold.frequency) for end in threshold.ipd_ci95)
    middle = _in_units(threshold.ipd, threshold.frequency)
    return middle | {f"{key}_ci95": [low[key], high[key]] for key in middle}


def _in_units(ipd: float, frequency: float) -> dict[str, float | None]:
    if math.isinf(ipd):
        return {"ipd_deg": None, "itd_us": None}
    return {"ipd_deg": math.degrees(ipd), "itd_us": ipd / (2 * math.pi * frequency) * 1e6}


def _ratio(network: Threshold, ideal: Threshold) -> dict[str, Any]:
    """The ratio of two thresholds, and its interval from those of their logarithms."""
    values = (network.ipd, *network.ipd_ci95, ideal.ipd, *ideal.ipd_ci95)
    if not all(0 < value < math.inf for value in values):
        return {"network_over_ideal": None, "network_over_ideal_ci95": None}
    half = math.hypot(*(math.log(each.ipd_ci95[1] / each.ipd_ci95[0]) / 2 for each in (network, ideal)))
    ratio = network.ipd / ideal.ipd
    return {
        "network_over_ideal": ratio,
        "network_over_ideal_ci95": [ratio * math.exp(-half), ratio * math.exp(half)],
    }
