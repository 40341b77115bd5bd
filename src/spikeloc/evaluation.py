"""Evaluation: observer x stimulus -> metrics. The metric contract lives here.

| key                                        | meaning                                                               |
|--------------------------------------------|-----------------------------------------------------------------------|
| `accuracy`, `accuracy_ci95`                | fraction of sounds put in the right class; Wilson interval            |
| `chance`                                   | 1 / classes                                                           |
| `mean_absolute_error_deg`, `..._ci95`      | mean of |true continuous angle - estimate|; normal interval           |
| `median_absolute_error_deg`                | its median                                                            |
| `root_mean_square_error_deg`, `..._ci95`   | root of the mean squared error; normal interval of its logarithm      |
| `quantisation_floor_deg`                   | a perfect classifier's mean absolute error: class width / 4           |
| `class_error_deg`                          | mean |true class - estimated class| x width: the seed's error         |
| `confusion`                                | counts, rows estimated, columns true                                  |
| `n_sounds`, `seed`                         | how many test sounds, from which stream                               |
| `ideal`, `fraction_of_ideal`               | the same keys for the ideal observer; accuracy / ideal accuracy       |
| `observers`                                | the same keys for each classical observer                             |
| `versus_ideal`                             | paired comparison with the ideal observer on the same sounds          |
| `error_by_angle`                           | mean absolute error in bins of the true angle, network and ideal      |
| `error_histogram`                          | counts of estimate - true angle between `edges_deg`, both             |

For tones there are yardsticks besides (:mod:`spikeloc.yardsticks`): `bound`, `least_loss`, `calibration`, `thresholds`,
`head` and `notes`; and where a head can make the tone, each observer has `mean_absolute_error_us` and
`mean_absolute_error_azimuth_deg` with their `_ci95` (:mod:`spikeloc.physical`). `confusion` is None above 360 classes.

For scenes nobody knows the ideal observer: `ideal` and `fraction_of_ideal` are None. `observers` holds correlations of
the sound pressures at the ears, `gcc_phat` and `ear_correlation`, heard on the very same sounds, and stands in the
other tables where the ideal observer does. Besides (:mod:`spikeloc.yardsticks`): `calibration`, `people`, `notes`, and

| `versus`                                   | paired comparison with each of `observers`, instead of `versus_ideal` |
| `estimates`                                | `angle_deg` of the first sounds, and what each observer answered, deg |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeloc.angles import class_centres, class_of_angle, class_width, wrap
from spikeloc.batches import batches_of
from spikeloc.comparison import Comparison, compare
from spikeloc.compiled import threads_for_loops
from spikeloc.errors import UserError
from spikeloc.observers.classical import classical_observers
from spikeloc.observers.ear_correlation import EarCorrelation, ear_observers
from spikeloc.observers.ideal import IdealObserver, Judgement
from spikeloc.observers.observer import Observer
from spikeloc.observers.trained import join
from spikeloc.physical import physical_errors
from spikeloc.readout import Decision
from spikeloc.recipe import Recipe
from spikeloc.runs import Run
from spikeloc.stimuli import Sounds, Stimulus, ToneStimulus
from spikeloc.yardsticks import MOST_SOUNDS, scene_yardsticks, threshold_yardsticks, yardsticks

__all__ = ["Listener", "Trial", "ceiling", "evaluate", "observe", "score", "wilson_interval"]

BATCH = 256
SHARED_BATCH = 4096
ANGLE_BINS = 36
HISTOGRAM_BINS = 61
HISTOGRAM_SHARE = 0.995  # of the errors, at least, are no greater than the histogram's end
MOST_CLASSES = 360  # of a confusion matrix
MOST_ESTIMATES = 1000  # that are written one by one
Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


Listener = Observer | EarCorrelation  # of the fibres' spikes, or of the sound at the ears


@dataclass(frozen=True)
class Trial:
    """True angles of test sounds, radians [n], and what each observer decided about the same sounds.

    judgement   of the ideal observer about the first of them, if asked for
    """

    angle: Tensor
    decisions: dict[str, Decision]
    judgement: Judgement | None = None

    def error_deg(self, name: str) -> Tensor:
        """Absolute error of an observer on every sound, degrees [n]."""
        return wrap(self.angle - self.decisions[name].angle).abs().rad2deg()

    def paired(self, a: str, b: str, n_classes: int, limit: float) -> Comparison:
        """Observer a less observer b, on the same sounds."""
        true = class_of_angle(self.angle, n_classes, limit)
        correct_a, correct_b = (self.decisions[name].label == true for name in (a, b))
        return compare(correct_a, correct_b, self.error_deg(a), self.error_deg(b))

    def error_by_angle(self, names: Sequence[str], limit: float) -> dict[str, list[float | None]]:
        """Mean absolute error in bins of the true angle, degrees; None where a bin holds no sound."""
        bins = class_of_angle(self.angle, ANGLE_BINS, limit)
        counts = torch.bincount(bins, minlength=ANGLE_BINS)
        table: dict[str, list[float | None]] = {"angle_deg": class_centres(ANGLE_BINS, limit).rad2deg().tolist()}
        for name in names:
            sums = torch.bincount(bins, self.error_deg(name), minlength=ANGLE_BINS)
            table[name] = [float(total / n) if n else None for total, n in zip(sums, counts, strict=True)]
        return table

    def estimates(self, names: Sequence[str]) -> dict[str, list[float]]:
        """The first sounds one by one: true angles, and what each observer answered, degrees."""
        angles = {"angle_deg": self.angle} | {name: self.decisions[name].angle for name in names}
        return {
            name: [round(float(each), 2) for each in angle[:MOST_ESTIMATES].rad2deg()] for name, angle in angles.items()
        }

    def error_histogram(self, names: Sequence[str]) -> dict[str, list[float]]:
        """Counts of signed errors between common edges, degrees; the outermost hold all that lies beyond."""
        signed = {name: wrap(self.decisions[name].angle - self.angle).rad2deg().double().numpy() for name in names}
        end = max(1e-3, *(float(np.quantile(np.abs(each), HISTOGRAM_SHARE)) for each in signed.values()))
        edges = np.linspace(-end, end, HISTOGRAM_BINS + 1)
        counts = {name: np.histogram(np.clip(each, -end, end), edges)[0].tolist() for name, each in signed.items()}
        return {"edges_deg": edges.tolist(), **counts}


def observe(
    observers: Mapping[str, Listener],
    stimulus: Stimulus,
    n: int,
    *,
    seed: int,
    stream: str = "test",
    judged: int = 0,
) -> Trial:
    """Let observers decide about the same n fresh sounds, batch by batch. Raises UserError unless n >= 1.

    judged   sounds, whole batches of the first, about whose true angles the ideal observer's posteriors are asked
    """
    if n < 1:
        raise UserError(f"the number of test sounds is {n}; it must be at least 1")
    angles: list[Tensor] = []
    decisions: dict[str, list[Decision]] = {name: [] for name in observers}
    judgements: list[Judgement] = []
    # Sounds that share one unknown phase are shown together: each tells the ideal observer about all.
    shared = isinstance(stimulus, ToneStimulus) and stimulus.phase == "per_dataset"
    for sounds in batches_of(
        stimulus, np.arange(n, dtype=np.int64), SHARED_BATCH if shared else BATCH, seed=seed, stream=stream
    ):
        for name, observer in observers.items():
            if isinstance(observer, IdealObserver) and BATCH * len(angles) < judged:
                decision, judgement = observer.decide_and_judge(sounds.events, sounds.angle)
                judgements.append(judgement)
            else:
                decision = _decision(observer, sounds)
            decisions[name].append(decision)
        angles.append(sounds.angle)
    joined = {name: join(parts) for name, parts in decisions.items()}
    return Trial(torch.cat(angles), joined, Judgement.join(judgements) if judgements else None)


def _decision(observer: Listener, sounds: Sounds) -> Decision:
    if not isinstance(observer, EarCorrelation):
        return observer.decide(sounds.events)
    if sounds.ears is None:
        raise UserError("a tone reaches the fibres without sound pressures; correlate the ears of a scene instead")
    return observer.decide_ears(sounds.ears)


def evaluate(
    run: Run,
    *,
    sounds: int | None = None,
    seed: int | None = None,
    known: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """The metrics of a run's trained network, beside the ideal and the classical observers on the same test sounds.

    By default those sounds that its recipe asks for. Raises UserError if the run is damaged.

    known   is told all metrics but the thresholds, which need sounds of their own, before these are drawn
    """
    recipe = run.recipe
    observers = {"network": run.observer(), **reference_observers(recipe)}
    metrics = _metrics(recipe, observers, sounds, seed)
    metrics = {"recipe": recipe.name, **metrics.pop("network"), **metrics}
    if known is not None:
        known(metrics)
    return metrics | _thresholds(recipe, observers, metrics)


def ceiling(recipe: Recipe, *, sounds: int | None = None, seed: int | None = None) -> dict[str, Any]:
    """What the ideal and the classical observers reach on a recipe's test sounds: no network, no training."""
    observers = reference_observers(recipe)
    metrics = {"recipe": recipe.name, **_metrics(recipe, observers, sounds, seed)}
    return metrics | _thresholds(recipe, observers, metrics)


def reference_observers(recipe: Recipe) -> dict[str, Listener]:
    """For tones the ideal observer, and the classical ones fitted on training sounds; for scenes those of the ears."""
    n_classes, stimulus = recipe.readout.classes, recipe.stimulus
    if not isinstance(stimulus, ToneStimulus):
        return {**ear_observers(stimulus, n_classes)}
    ideal = IdealObserver(stimulus, n_classes)
    return {"ideal": ideal, **classical_observers(stimulus, n_classes, recipe.seed)}


def _metrics(recipe: Recipe, observers: Mapping[str, Listener], sounds: int | None, seed: int | None) -> dict[str, Any]:
    n = recipe.evaluation.sounds if sounds is None else sounds
    seed = recipe.seed if seed is None else seed
    n_classes, limit = recipe.readout.classes, recipe.stimulus.limit
    # Sounds that share their phase tell the more about it, the more are heard: those are judged apart.
    shared = isinstance(recipe.stimulus, ToneStimulus) and recipe.stimulus.phase == "per_dataset"
    with threads_for_loops():
        trial = observe(observers, recipe.stimulus, n, seed=seed, judged=0 if shared else MOST_SOUNDS)
    scores = {name: score(trial.angle, each, n_classes, limit) for name, each in trial.decisions.items()}
    if isinstance(recipe.stimulus, ToneStimulus):
        beside = _beside_tones(recipe, recipe.stimulus, observers["ideal"], trial, scores, seed)
    else:
        beside = _beside_scenes(n_classes, limit, trial)
    compared = list(scores)
    if "ideal" in scores:
        compared = [name for name in ("network", "ideal") if name in scores]
    metrics: dict[str, Any] = {"n_sounds": n, "seed": seed, "ideal": scores.pop("ideal", None)}
    if "network" in scores:
        metrics["network"] = scores.pop("network")
        best = (metrics["ideal"] or {"accuracy": 0})["accuracy"]
        metrics["fraction_of_ideal"] = metrics["network"]["accuracy"] / best if best > 0 else None
        if metrics["ideal"] is not None:
            metrics["versus_ideal"] = asdict(trial.paired("network", "ideal", n_classes, limit))
    metrics["observers"] = scores
    metrics["error_by_angle"] = trial.error_by_angle(compared, limit)
    metrics["error_histogram"] = trial.error_histogram(compared)
    return metrics | beside


def _beside_tones(
    recipe: Recipe,
    stimulus: ToneStimulus,
    ideal: Listener,
    trial: Trial,
    scores: dict[str, dict[str, Any]],
    seed: int,
) -> dict[str, Any]:
    """What a tone's scores are held against; adds errors in a head's units to the scores, where a head has them."""
    radius = recipe.evaluation.head_radius
    for name, decision in trial.decisions.items():
        scores[name] |= physical_errors(trial.angle, decision.angle, stimulus, radius)
    assert isinstance(ideal, IdealObserver)
    with threads_for_loops():
        return yardsticks(
            stimulus,
            recipe.readout,
            ideal,
            trial.angle,
            trial.decisions,
            seed=seed,
            interval=wilson_interval,
            radius=radius,
            judgement=trial.judgement,
        )


def _thresholds(recipe: Recipe, observers: Mapping[str, Listener], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The thresholds that belong to the metrics of a tone; nothing for a scene."""
    stimulus, n, seed = recipe.stimulus, metrics["n_sounds"], metrics["seed"]
    if not isinstance(stimulus, ToneStimulus):
        return {}
    of_spikes = {name: each for name, each in observers.items() if not isinstance(each, EarCorrelation)}
    with threads_for_loops():
        return threshold_yardsticks(stimulus, recipe.readout, of_spikes, n=n, seed=seed)


def _beside_scenes(n_classes: int, limit: float, trial: Trial) -> dict[str, Any]:
    """What a scene's scores are held against, paired comparisons among it."""
    found = scene_yardsticks(n_classes, trial.angle, trial.decisions, interval=wilson_interval)
    others = [name for name in trial.decisions if name != "network"]
    if "network" in trial.decisions:
        found["versus"] = {name: asdict(trial.paired("network", name, n_classes, limit)) for name in others}
    return found | {"estimates": trial.estimates(list(trial.decisions))}


def score(angle: Tensor, decision: Decision, n_classes: int, limit: float) -> dict[str, Any]:
    """The metric contract for decisions about sounds from true angles [n] in radians, within +-limit."""
    true = class_of_angle(angle, n_classes, limit)
    width = math.degrees(class_width(n_classes, limit))
    error = wrap(angle - decision.angle).abs().rad2deg()
    mean, half = _mean(error)
    square, half_square = _mean(error.square())
    ratio = math.exp(half_square / (2 * square)) if square > 0 else 1.0
    correct = int((true == decision.label).sum())
    return {
        "accuracy": correct / len(angle),
        "accuracy_ci95": list(wilson_interval(correct, len(angle))),
        "chance": 1 / n_classes,
        "mean_absolute_error_deg": mean,
        "mean_absolute_error_deg_ci95": [max(0.0, mean - half), mean + half],
        "median_absolute_error_deg": float(error.median()),
        "root_mean_square_error_deg": math.sqrt(square),
        "root_mean_square_error_deg_ci95": [math.sqrt(square) / ratio, math.sqrt(square) * ratio],
        "quantisation_floor_deg": width / 4,
        "class_error_deg": float((true - decision.label).abs().double().mean()) * width,
        "confusion": _confusion(true, decision.label, n_classes) if n_classes <= MOST_CLASSES else None,
    }


def _mean(values: Tensor) -> tuple[float, float]:
    """The mean of values, and half of its normal 95 % interval."""
    return float(values.mean()), Z95 * float(values.std(correction=0)) / math.sqrt(len(values))


def _confusion(true: Tensor, label: Tensor, n_classes: int) -> list[list[int]]:
    counts = torch.bincount(label * n_classes + true, minlength=n_classes**2)
    confusion: list[list[int]] = counts.reshape(n_classes, n_classes).tolist()
    return confusion


def wilson_interval(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion, 95 % by default (Wilson 1927)."""
    p, zz = successes / n, z * z
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    # At the ends the formula gives 0 and 1 up to rounding.
    return max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0
