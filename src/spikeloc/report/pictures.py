"""All pictures of a finished run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from spikeloc import analysis
from spikeloc.compiled import threads_for_loops
from spikeloc.drawing import Picture, picture
from spikeloc.errors import UserError
from spikeloc.readout import population_vector
from spikeloc.recipe import Recipe
from spikeloc.runs import Run
from spikeloc.stimuli import SceneStimulus, Stimulus, ToneStimulus

__all__ = [
    "NAMES",
    "Metrics",
    "history_of",
    "kind_of_angle",
    "pictures_of_network",
    "pictures_of_scores",
    "stimulus_examples",
]

Metrics = Mapping[str, Any]

SILENT = {"class": "ln(classes)", "angle": "1/3", "direction": "ln(2π)"}
NAMES = {
    "network": "this network",
    "ideal": "ideal observer",
    "gcc_phat": "GCC-PHAT",
    "ear_correlation": "correlation of the ears",
}


def pictures_of_network(run: Run, seed: int) -> dict[str, Picture]:
    """The pictures of a finished run that need no score, by their names: its stimulus, and what its network does."""
    recipe, observer = run.recipe, run.observer()
    with threads_for_loops():
        examples = analysis.example_activity(observer, recipe.stimulus, seed=seed)
        tuning = analysis.tuning_curves(observer, recipe.stimulus, seed=seed) if recipe.network.hidden else None
    found = {"spike_trains": stimulus_examples(recipe.stimulus, seed), "traces": _traces(recipe, examples)}
    if tuning is not None:
        found |= _hidden_pictures(recipe, examples, tuning)
    return found | _weight_pictures(recipe, analysis.matrices(observer.network), tuning)


def pictures_of_scores(run: Run, metrics: Metrics) -> dict[str, Picture]:
    """The pictures of a finished run that show its score, by their names. Raises UserError without a history."""
    recipe = run.recipe
    return {
        **_answers(recipe, metrics),
        **_psychometric_function(recipe, metrics),
        **_reliability(metrics),
        "loss": _loss(recipe, history_of(run), metrics),
    }


def stimulus_examples(stimulus: Stimulus, seed: int) -> Picture:
    """The first test sounds of a stimulus: eight tones, or four scenes."""
    if not isinstance(stimulus, SceneStimulus):
        sounds = stimulus.draw(8, seed=seed)
        return picture("spike_trains", np.rad2deg(sounds.angle.numpy()), sounds.spikes.numpy(), stimulus.dt)
    sounds = stimulus.draw(4, seed=seed)
    return picture(
        "scene_sounds",
        np.rad2deg(sounds.angle.numpy()),
        sounds.ears,
        sounds.spikes.numpy(),
        sample_rate=stimulus.sample_rate,
        dt=stimulus.dt,
        frequencies=stimulus.cochlea.centre_frequencies,
    )


def kind_of_angle(recipe: Recipe) -> str:
    """What the angle of a recipe's stimulus is called in pictures."""
    return "IPD" if isinstance(recipe.stimulus, ToneStimulus) else "azimuth"


def _loss(recipe: Recipe, history: list[dict[str, float]], metrics: Metrics) -> Picture:
    return picture(
        "loss_curve",
        history,
        expected=recipe.readout.expected_first_loss,
        silent=f"says nothing: {SILENT[recipe.readout.kind]} =",
        chance=metrics["chance"],
        accuracy=metrics["accuracy"],
        ceiling=(metrics.get("ideal") or {}).get("accuracy"),
        least_loss=metrics.get("least_loss"),
    )


def _answers(recipe: Recipe, metrics: Metrics) -> dict[str, Picture]:
    """What the network answers, and how far off that is, beside the ideal observer or the ears' correlations."""
    limit, angle, found = math.degrees(recipe.stimulus.limit), kind_of_angle(recipe), {}
    both = {"network": metrics, "ideal": metrics.get("ideal") or {}}
    confusions = {NAMES[name]: np.asarray(each["confusion"]) for name, each in both.items() if each.get("confusion")}
    if "estimates" in metrics:
        answers = {name: np.asarray(values) for name, values in metrics["estimates"].items()}
        found["estimates"] = picture("estimates", answers.pop("angle_deg"), _named(answers), limit)
    if confusions and not ("estimates" in metrics and recipe.readout.kind != "class"):
        found["confusion"] = picture("confusion_matrices", confusions, limit, angle)
        found["histograms"] = picture("histograms", confusions[NAMES["network"]], limit, angle)
    bound = metrics.get("bound") or {}
    if "error_histogram" in metrics:
        table = {name: np.asarray(values) for name, values in metrics["error_histogram"].items()}
        edges = table.pop("edges_deg")
        frequency = None
        if isinstance(recipe.stimulus, ToneStimulus) and metrics.get("head", {}).get("natural"):
            frequency = recipe.stimulus.frequency
        found["errors"] = picture(
            "error_histogram",
            edges,
            _named(table),
            sd=bound.get("sd_deg"),
            frequency=frequency,
            angle=angle,
        )
    if "error_by_angle" in metrics:
        table = {name: np.array(values, dtype=float) for name, values in metrics["error_by_angle"].items()}
        angles = table.pop("angle_deg")
        floor = metrics["quantisation_floor_deg"] if recipe.readout.kind == "class" else None
        least = bound.get("mean_absolute_error_deg")
        found["error_by_angle"] = picture(
            "error_by_angle", angles, _named(table), floor=floor, limit=limit, bound=least, angle=angle
        )
    return found


def _psychometric_function(recipe: Recipe, metrics: Metrics) -> dict[str, Picture]:
    found = metrics.get("thresholds", {})
    if "psychometric_function" not in found or not isinstance(recipe.stimulus, ToneStimulus):
        return {}
    correct = {name: np.asarray(values) for name, values in found["psychometric_function"].items()}
    ipd = correct.pop("ipd_deg")
    correct = {name: correct[name] for name in NAMES if name in correct}
    at = {NAMES[name]: found[name]["ipd_deg"] for name in correct if found[name]["ipd_deg"] is not None}
    people = found.get("people", {}).get("ipd_deg")
    figure = picture(
        "psychometric_function", ipd, _named(correct), at, frequency=recipe.stimulus.frequency, people=people
    )
    return {"psychometric_function": figure}


def _reliability(metrics: Metrics) -> dict[str, Picture]:
    table = metrics.get("calibration", {})
    if "network" not in table:
        return {}
    coverage, stated, found = (
        {NAMES[name]: table[name][key] for name in NAMES if name in table}
        for key in ("coverage", "stated_deg", "found_deg")
    )
    return {"reliability": picture("reliability", table["network"]["nominal"], coverage, stated, found)}


def _named(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {NAMES.get(name, name): values for name, values in table.items()}


def _hidden_pictures(recipe: Recipe, examples: analysis.Examples, tuning: analysis.Tuning) -> dict[str, Picture]:
    dt, angle = recipe.stimulus.dt, kind_of_angle(recipe)
    orders = tuning.orders()
    hidden = [spikes[:, :, order] for spikes, order in zip(examples.hidden, orders, strict=False)]
    names = [f"hidden layer {depth + 1}" for depth in range(len(hidden))] + ["output layer"]
    rates = {name: rate[:, order] for name, rate, order in zip(names, tuning.rates, orders, strict=False)}
    return {
        "rasters": picture("hidden_rasters", np.rad2deg(examples.angle), hidden, dt, angle),
        "firing_rates": picture("firing_rates", np.rad2deg(tuning.angle), rates, angle),
    }


def _weight_pictures(recipe: Recipe, weights: list[np.ndarray], tuning: analysis.Tuning | None) -> dict[str, Picture]:
    panels: dict[str, dict[str, list[np.ndarray]]] = {"weights": {"": weights}}
    if tuning is not None:
        panels["weights_sorted"] = {
            "by centre of mass of input weights": analysis.sort_hidden(weights, analysis.sorted_orders(weights)),
            "by the angle of tuning": analysis.sort_hidden(weights, tuning.orders()[: len(weights) - 1]),
        }
    limit = math.degrees(recipe.stimulus.limit) if recipe.readout.kind == "class" else None
    ear, angle = recipe.stimulus.n_fibres // 2, kind_of_angle(recipe)
    found = {
        name: picture("weight_matrices", rows, fibres_per_ear=ear, limit=limit, angle=angle)
        for name, rows in panels.items()
    }
    if tuning is not None:
        whole = {"": [analysis.product(weights)]}
        label = "product of weights"
        found["weights_product"] = picture(
            "weight_matrices", whole, fibres_per_ear=ear, limit=limit, label=label, angle=angle
        )
    return found


def _traces(recipe: Recipe, examples: analysis.Examples) -> Picture:
    """Output traces: of all classes, or of the one angle that the outputs stand for."""
    traces, limit = examples.trace, math.degrees(recipe.stimulus.limit)
    if recipe.readout.kind == "angle":
        traces = traces * limit
    elif recipe.readout.kind == "direction":
        z = population_vector(torch.from_numpy(traces).flatten(0, 1)).numpy()
        traces = np.rad2deg(np.arctan2(z[:, 1], z[:, 0])).reshape(*traces.shape[:2], 1)
    return picture(
        "example_traces",
        np.rad2deg(examples.angle),
        np.rad2deg(examples.estimate),
        traces,
        recipe.stimulus.dt,
        limit=limit if recipe.readout.kind == "class" else None,
    )


def history_of(run: Run) -> list[dict[str, float]]:
    """The history of training. Raises UserError if it is damaged."""
    history = run.history
    if not history or not {"epoch", "loss", "seconds"} <= history[0].keys():
        raise UserError(f"{run.path / 'history.csv'} is damaged: it should have a row with a loss for each epoch")
    return history
