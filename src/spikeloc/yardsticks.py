"""What scores are held against: for tones bounds, thresholds, calibration, the units of a head, and plain warnings.

| key of the metrics   | meaning                                                                                       |
|----------------------|-----------------------------------------------------------------------------------------------|
| `bound`              | Cramér-Rao bound: `sd_deg`, `mean_absolute_error_deg` (and `_us`), `accuracy`; None where it  |
|                      | says nothing                                                                                  |
| `least_loss`         | the ideal observer's loss: none is lower on average (cross-entropy of its classes, negative   |
|                      | logarithm of its density at the true angle, or mean square of its error, as the readout's)    |
| `calibration`        | by observer: do true angles lie in its intervals as often as it says                          |
|                      | (:mod:`spikeloc.calibration`)                                                                 |
| `thresholds`         | just-noticeable differences (:mod:`spikeloc.thresholds`)                                      |
| `head`               | what the range of angles is for a head (:mod:`spikeloc.physical`)                             |
| `notes`              | what a reader must know, a sentence each                                                      |

For scenes `calibration` of the network, `notes`, and what people reach in a quiet room without echoes:

| `people`             | `root_mean_square_error_deg` of naming the loudspeaker that sounded, and its `..._sd` over    |
|                      | listeners; `minimum_audible_angle_deg`, the smallest step heard in front; `source`            |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from spikeloc.azimuth import HEAD_RADIUS
from spikeloc.calibration import calibration, levels_of_normal, levels_of_posterior
from spikeloc.observers.bounds import Bounds, bounds
from spikeloc.observers.ideal import IdealObserver, Judgement
from spikeloc.observers.observer import Observer
from spikeloc.physical import head_account, is_natural
from spikeloc.readout import Decision, Readout
from spikeloc.stimuli import ToneStimulus
from spikeloc.thresholds import thresholds

__all__ = ["MOST_SOUNDS", "PEOPLE", "scene_yardsticks", "threshold_yardsticks", "yardsticks"]

MOST_SOUNDS = 2048  # whose true angles the ideal observer's posteriors are held against
ENOUGH = 50  # sounds: fewer tell no threshold

PEOPLE = {
    "root_mean_square_error_deg": 6.2,
    "root_mean_square_error_deg_sd": 1.8,
    "minimum_audible_angle_deg": 1.0,
    "source": "45 listeners: Yost et al., JASA 133, 2013; smallest step: Mills, JASA 30, 1958",
}
ONE_CLASS = "There is one class: every answer is right, and accuracy says nothing."
NO_IDEAL = (
    "There is no ideal observer here, and no fraction of it: how likely spikes are after an unknown sound cannot be "
    "computed exactly, so scores are held against two correlations of the sound pressures at the ears."
)

Interval = Callable[[int, int], tuple[float, float]]


def yardsticks(
    stimulus: ToneStimulus,
    readout: Readout,
    ideal: IdealObserver,
    angle: Tensor,
    decisions: Mapping[str, Decision],
    *,
    seed: int,
    interval: Interval,
    radius: float = HEAD_RADIUS,
    judgement: Judgement | None = None,
) -> dict[str, Any]:
    """All of the above for test sounds of a seed, but for the thresholds.

    readout     of the network: what kind of loss and of answer it has
    angle       true angles of the test sounds, radians [n]
    decisions   of each observer by its name, "ideal" among them, about those sounds
    interval    gives the 95 % interval of a proportion: successes and n
    radius      of the head, metres
    judgement   of the ideal observer about the first MOST_SOUNDS of the sounds, if it is known already
    """
    n = len(angle)
    if judgement is None:
        first = min(n, MOST_SOUNDS)
        judgement = ideal.judge(stimulus.draw(first, seed=seed, stream="test").events, angle[:first])
    bound = _least(stimulus, readout.classes, n)
    return {
        "bound": _written(bound, stimulus, radius),
        "least_loss": _least_loss(judgement, readout, stimulus.max_ipd),
        "calibration": _calibration(angle, decisions, judgement, interval),
        "head": head_account(stimulus, radius),
        "notes": _notes(stimulus, readout, bound, n, "network" in decisions),
    }


def threshold_yardsticks(
    stimulus: ToneStimulus, readout: Readout, observers: Mapping[str, Observer], *, n: int, seed: int
) -> dict[str, Any]:
    """`thresholds` of the ideal observer and of a network that has one; none from few sounds n, or if they say nothing.

    observers   by their names, "ideal" and perhaps "network" among them
    """
    if n < ENOUGH or math.isinf(_least(stimulus, readout.classes, n).sd):
        return {}
    names = ("ideal",) if readout.kind == "class" else ("ideal", "network")
    asked = {name: observers[name] for name in names if name in observers}
    return {"thresholds": thresholds(asked, stimulus, n=n, seed=seed)}


def scene_yardsticks(
    n_classes: int, angle: Tensor, decisions: Mapping[str, Decision], *, interval: Interval
) -> dict[str, Any]:
    """What the scores of scenes are held against, for test sounds from true angles [n], radians.

    decisions   of each observer by its name about those sounds
    interval    gives the 95 % interval of a proportion: successes and n
    """
    found: dict[str, Any] = {}
    network = decisions.get("network")
    if network is not None and network.uncertainty is not None:
        found["calibration"] = {"network": calibration(angle, network, levels_of_normal(angle, network), interval)}
    notes = [NO_IDEAL, *([ONE_CLASS] if n_classes == 1 else [])]
    return found | {"people": dict(PEOPLE), "notes": notes}


def _least(stimulus: ToneStimulus, n_classes: int, n: int) -> Bounds:
    return bounds(stimulus, n_classes, n_sharing=n if stimulus.phase == "per_dataset" else 1)


def _written(bound: Bounds, stimulus: ToneStimulus, radius: float) -> dict[str, Any] | None:
    if not 0 < bound.sd < math.inf:
        return None
    error = bound.mean_absolute_error
    found = {"sd_deg": math.degrees(bound.sd), "mean_absolute_error_deg": math.degrees(error)}
    if is_natural(stimulus, radius):
        found["mean_absolute_error_us"] = 1e6 * error / (2 * math.pi * stimulus.frequency)
    return found | {"accuracy": bound.accuracy}


def _least_loss(judgement: Judgement, readout: Readout, limit: float) -> float:
    match readout.kind:
        case "class":
            return float(-judgement.log_class.mean())
        case "direction":
            return float(-judgement.log_density.mean())
        case "angle":
            return float(np.square(judgement.error / limit).mean())


def _calibration(
    angle: Tensor, decisions: Mapping[str, Decision], judgement: Judgement, interval: Interval
) -> dict[str, Any]:
    """Of the ideal observer's posteriors, and of the network where it says how sure it is."""
    ideal, n = decisions["ideal"], len(judgement.below)
    assert ideal.uncertainty is not None
    asked = Decision(ideal.angle[:n], ideal.label[:n], ideal.uncertainty[:n])
    found = {"ideal": calibration(angle[:n], asked, levels_of_posterior(judgement.below), interval)}
    network = decisions.get("network")
    if network is not None and network.uncertainty is not None:
        found["network"] = calibration(angle, network, levels_of_normal(angle, network), interval)
    return found


def _notes(stimulus: ToneStimulus, readout: Readout, bound: Bounds, n: int, trained: bool) -> list[str]:
    classes, notes = readout.classes, []
    if math.isinf(bound.sd):
        notes.append(
            "These spikes say nothing about the angle, because their probabilities do not depend on it: every observer "
            "is at chance."
        )
    elif n < ENOUGH:
        notes.append(f"There is no just-noticeable difference: {n} test sounds are fewer than {ENOUGH}.")
    elif trained and readout.kind == "class":
        width = math.degrees(2 * stimulus.max_ipd / classes)
        notes.append(
            f"The network has no just-noticeable difference: it answers with one of {classes} class"
            f"{'es' if classes > 1 else ''}, {width:.3g}° wide, so a threshold would tell how near the midline a class "
            f"ends. A readout of kind 'direction' or 'angle' has one."
        )
    if bound.sd == 0:
        notes.append(
            "There is no Cramér-Rao bound: the spike probability has an edge, so errors fall faster than any bound of "
            "that kind."
        )
    if classes == 1:
        notes.append(ONE_CLASS)
    return notes
