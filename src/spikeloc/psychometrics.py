"""Thresholds as psychophysics measures them: the just-noticeable difference between two angles.

Two intervals: a sound from straight ahead and one from a small angle to the right, in random order. The observer says
which was further right; it compares its two estimates. At the just-noticeable difference it is right in 75 % of trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from spikeloc.observers.observer import Observer
from spikeloc.stimuli import ToneStimulus

__all__ = ["PEOPLE_JND_US", "Threshold", "just_noticeable_difference"]

PEOPLE_JND_US = 10.0  # best threshold of people for the interaural time difference of a tone (Mills 1958)
CHUNK = 256
ROUNDS = 4


@dataclass(frozen=True)
class Threshold:
    """The just-noticeable difference of an observer at the midline.

    ipd            interaural phase difference at 75 % correct          [rad]
    ipd_ci95       its 95 % interval                                    [rad]
    itd_us         the same as a time difference                        [microseconds]
    """

    ipd: float
    ipd_ci95: tuple[float, float]
    itd_us: float


def just_noticeable_difference(
    observer: Observer, stimulus: ToneStimulus, *, n: int = 2000, seed: int = 0
) -> Threshold:
    """Measure an observer's threshold with n sounds at the midline and n at a probe angle near the threshold.

    P(correct) is the probability that a probe's estimate exceeds a midline estimate (ties count half), which is the
    area under the ROC curve. For estimates that err by normal noise of deviation sd, P = Phi(d / (sqrt(2) sd)), so
    the threshold is  probe x Phi^-1(0.75) / Phi^-1(P). The probe is moved to the threshold found, until it is near.
    """
    reference = _estimates(observer, stimulus, 0.0, n, seed, "jnd reference")
    probe = 4 * max(float(np.std(reference)), 1e-6)
    low, high = 1e-6, stimulus.max_ipd
    for number in range(ROUNDS):
        probe = float(np.clip(probe, low, high))
        shifted = _estimates(observer, stimulus, probe, n, seed, f"jnd probe {number}")
        p, sd = _area(shifted, reference)
        threshold = probe * _threshold_share(min(p, 1 - 0.5 / n))
        if 0.7 < p < 0.8:
            break
        probe = threshold
    least, most = (probe * _threshold_share(min(p + z * sd, 1 - 1e-9)) for z in (1.96, -1.96))
    return Threshold(threshold, (least, most), threshold / (2 * math.pi * stimulus.frequency) * 1e6)


def _threshold_share(p: float) -> float:
    """Threshold as a share of a probe with P(correct) = p; finite where that is no better than chance."""
    phi = NormalDist()
    return phi.inv_cdf(0.75) / max(phi.inv_cdf(max(p, 0.5)), 1e-3)


def _estimates(observer: Observer, stimulus: ToneStimulus, angle: float, n: int, seed: int, stream: str) -> np.ndarray:
    parts = []
    for first in range(0, n, CHUNK):
        size = min(CHUNK, n - first)
        sounds = stimulus.draw(size, seed=seed, stream=stream, first=first, angle=np.full(size, angle))
        parts.append(observer.decide(sounds.events).angle.numpy())
    return np.concatenate(parts)


def _area(probe: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """P(probe > reference) + P(equal) / 2 and its standard error (Hanley & McNeil 1982)."""
    n, m = len(probe), len(reference)
    ordered = np.sort(reference)
    below, not_above = (np.searchsorted(ordered, probe, side=side).sum() for side in ("left", "right"))
    area = float(below + not_above) / (2 * n * m)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    return area, math.sqrt(max(variance, 0.0))
