"""Thresholds as psychophysics measures them: the just-noticeable difference between two angles.

Two intervals: a sound from straight ahead and one from a small angle to the right, in random order. The observer says
which was further right; it compares its two estimates. At the just-noticeable difference it is right in 75 % of trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from spikeloc.observers.observer import Observer, require_tone
from spikeloc.stimuli import ToneStimulus

__all__ = [
    "JND_PER_SD",
    "PEOPLE_HEAR_HZ",
    "PEOPLE_JND_US",
    "Threshold",
    "just_noticeable_difference",
    "psychometric_function",
]

# Best threshold of people for the interaural time difference of a tone (Mills, JASA 30, 1958), and the frequencies at
# which it was measured; just above the highest there is none (Brughera, Dunai & Hartmann, JASA 133, 2013).
PEOPLE_JND_US = 10.0
PEOPLE_HEAR_HZ = (250.0, 1400.0)
JND_PER_SD = math.sqrt(2) * NormalDist().inv_cdf(0.75)  # of an observer that errs by normal noise
CHUNK = 256
ROUNDS = 4


@dataclass(frozen=True)
class Threshold:
    """The just-noticeable difference of an observer at the midline; infinite where it has none within the range.

    ipd            interaural phase difference at 75 % correct          [rad]
    ipd_ci95       its 95 % interval                                    [rad]
    frequency      of the tone                                          [Hz]
    """

    ipd: float
    ipd_ci95: tuple[float, float]
    frequency: float

    @property
    def itd_us(self) -> float:
        """The same as a time difference, microseconds."""
        return self.ipd / (2 * math.pi * self.frequency) * 1e6


def just_noticeable_difference(
    observer: Observer, stimulus: ToneStimulus, *, n: int = 2000, seed: int = 0
) -> Threshold:
    """Measure an observer's threshold with n sounds at the midline and n at a probe angle near the threshold.

    P(correct) is the probability that a probe's estimate exceeds a midline estimate (ties count half), which is the
    area under the ROC curve. For estimates that err by normal noise of deviation sd, P = Phi(d / (sqrt(2) sd)), so
    the threshold is  probe x Phi^-1(0.75) / Phi^-1(P). The probe is moved to the threshold found, until it is near.
    """
    require_tone(stimulus, "a just-noticeable phase difference")
    reference = _estimates({"": observer}, stimulus, 0.0, n, seed, "jnd reference")[""]
    low, high = 1e-6, stimulus.max_ipd
    threshold = 4 * max(float(np.std(reference)), 1e-6)
    for number in range(ROUNDS):
        probe = float(np.clip(threshold, low, high))
        shifted = _estimates({"": observer}, stimulus, probe, n, seed, f"jnd probe {number}")[""]
        p, sd = _area(shifted, reference)
        threshold = probe * _threshold_share(min(p, 1 - 0.5 / n))
        if 0.7 < p < 0.8 or threshold > probe == high:
            break
    least, most = (probe * _threshold_share(min(p + z * sd, 1 - 1e-9)) for z in (1.96, -1.96))
    ipd, least, most = (value if value <= high else math.inf for value in (threshold, least, most))
    return Threshold(ipd, (least, most), stimulus.frequency)


def psychometric_function(
    observers: Mapping[str, Observer], stimulus: ToneStimulus, ipd: Sequence[float], *, n: int = 1000, seed: int = 0
) -> dict[str, list[float]]:
    """Fraction correct at interaural phase differences [k] radians from the midline, of each observer by its name.

    All observers hear the same sounds: n at the midline and n at each difference.
    """
    reference = _estimates(observers, stimulus, 0.0, n, seed, "jnd reference")
    correct: dict[str, list[float]] = {name: [] for name in observers}
    for number, difference in enumerate(ipd):
        shifted = _estimates(observers, stimulus, difference, n, seed, f"psychometric function {number}")
        for name in observers:
            correct[name].append(_area(shifted[name], reference[name])[0])
    return correct


def _threshold_share(p: float) -> float:
    """Threshold as a share of a probe with P(correct) = p; finite where that is no better than chance."""
    phi = NormalDist()
    return phi.inv_cdf(0.75) / max(phi.inv_cdf(max(p, 0.5)), 1e-3)


def _estimates(
    observers: Mapping[str, Observer], stimulus: ToneStimulus, angle: float, n: int, seed: int, stream: str
) -> dict[str, np.ndarray]:
    """What each observer says about the same n sounds from one angle, radians [n]."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in observers}
    for first in range(0, n, CHUNK):
        size = min(CHUNK, n - first)
        sounds = stimulus.draw(size, seed=seed, stream=stream, first=first, angle=np.full(size, angle))
        for name, observer in observers.items():
            parts[name].append(observer.decide(sounds.events).angle.numpy())
    return {name: np.concatenate(each) for name, each in parts.items()}


def _area(probe: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """P(probe > reference) + P(equal) / 2 and its standard error (Hanley & McNeil 1982)."""
    n, m = len(probe), len(reference)
    ordered = np.sort(reference)
    below, not_above = (np.searchsorted(ordered, probe, side=side).sum() for side in ("left", "right"))
    area = float(below + not_above) / (2 * n * m)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    return area, math.sqrt(max(variance, 0.0))
