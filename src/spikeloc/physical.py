"""Errors in a head's units: microseconds and degrees of azimuth, where the tone is one that a head can make.

A phase difference of a tone of frequency f is a time difference, ITD = IPD / (2 pi f), and within a head's largest ITD
a direction (:mod:`spikeloc.azimuth`). Beyond it the tone comes from no direction, and its errors are degrees of phase.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikeloc.angles import wrap
from spikeloc.azimuth import HEAD_RADIUS, azimuth_error, azimuth_of_ipd, largest_ipd, largest_itd
from spikeloc.stimuli import ToneStimulus

__all__ = ["head_account", "is_natural", "physical_errors"]

Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


def is_natural(stimulus: ToneStimulus, radius: float = HEAD_RADIUS) -> bool:
    """Whether a head of this radius, metres, can make every phase difference of the stimulus."""
    return stimulus.max_ipd <= largest_ipd(stimulus.frequency, radius)


def head_account(stimulus: ToneStimulus, radius: float = HEAD_RADIUS) -> dict[str, Any]:
    """What the stimulus's range of angles is for a head of this radius, metres: numbers and a sentence.

    | key                        | meaning                                                                |
    |----------------------------|------------------------------------------------------------------------|
    | `natural`                  | whether such a head can make every phase difference of the stimulus    |
    | `head_radius_m`            | the radius                                                             |
    | `largest_itd_us`           | the largest time difference the stimulus asks about                    |
    | `head_largest_itd_us`      | the largest that the head can make: radius / c (1 + pi / 2)            |
    | `largest_azimuth_deg`      | the azimuth of the first; None where there is none                     |
    | `statement`                | the same in a sentence                                                 |
    """
    natural, head = is_natural(stimulus, radius), largest_itd(radius)
    asked = stimulus.max_ipd / (2 * math.pi * stimulus.frequency)
    azimuth = _azimuth_deg(stimulus, radius) if natural else None
    limit = math.degrees(stimulus.max_ipd)
    statement = f"At {stimulus.frequency:.4g} Hz, ±{limit:.3g}° of interaural phase is ±{_time(asked)}"
    ear_to_ear = f"a head of radius {100 * radius:.3g} cm makes at most {_time(head)}"
    if natural:
        statement += f", and {ear_to_ear}: sources up to {azimuth:.0f}° of azimuth to either side (Woodworth's sphere)."
    else:
        statement += (
            f", but {ear_to_ear}, {asked / head:.2g} times less: errors are degrees of phase here, not of azimuth, and "
            f"a difference in microseconds is one that no head makes."
        )
    return {
        "natural": natural,
        "head_radius_m": radius,
        "largest_itd_us": 1e6 * asked,
        "head_largest_itd_us": 1e6 * head,
        "largest_azimuth_deg": azimuth,
        "statement": statement,
    }


def physical_errors(
    true: Tensor, estimate: Tensor, stimulus: ToneStimulus, radius: float = HEAD_RADIUS
) -> dict[str, Any]:
    """Mean absolute errors of IPDs, radians [n], in microseconds and degrees of azimuth, each with its 95 % interval.

    Nothing where the stimulus is not one that a head of this radius, metres, can make.
    """
    if not is_natural(stimulus, radius):
        return {}
    error_us = wrap(true.double() - estimate.double()).abs() / (2 * math.pi * stimulus.frequency) * 1e6
    azimuth_deg = azimuth_error(true, estimate, stimulus.frequency, radius).rad2deg()
    return _mean("mean_absolute_error_us", error_us) | _mean("mean_absolute_error_azimuth_deg", azimuth_deg)


def _mean(key: str, error: Tensor) -> dict[str, Any]:
    mean, half = float(error.mean()), Z95 * float(error.std(correction=0)) / math.sqrt(len(error))
    return {key: mean, f"{key}_ci95": [max(0.0, mean - half), mean + half]}


def _azimuth_deg(stimulus: ToneStimulus, radius: float) -> float:
    limit = torch.tensor(stimulus.max_ipd, dtype=torch.float64)
    return math.degrees(float(azimuth_of_ipd(limit, stimulus.frequency, radius)))


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"
