"""The report: run -> report.html, one file with everything in it, and its pictures as figures/*.png."""

from __future__ import annotations

import base64
import json
import math
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch

from spikeloc import analysis, figures
from spikeloc.errors import UserError
from spikeloc.figures import Figure
from spikeloc.readout import population_vector
from spikeloc.recipe import Recipe, shipped_recipes
from spikeloc.runs import Run

__all__ = ["pictures", "report", "write_report"]

Metrics = Mapping[str, Any]

NAMES = {"network": "this network", "ideal": "ideal observer"}
ON_PAGE = 0.83  # of a picture's pixels: what fills the width of the page
READ_BY = {"mean": "mean potential", "max": "highest potential", "count": "number of spikes"}
MEASURES = {
    "accuracy": "Share of the test sounds put into the right class, with the interval that holds the true share with "
    "95 % confidence (Wilson). Chance is what guessing reaches.",
    "mean error": "How far the estimated angle is from the true one, on average, with its 95 % interval. A classifier "
    "answers with the middle of a class, so even a perfect one is off by a quarter of a class: its floor.",
    "median error": "Half of the errors are smaller. Unlike the mean, a few gross errors do not move it.",
    "class error": "How many classes the answer is off, times the width of a class. Its floor is zero.",
    "of ideal": "Accuracy as a share of the ideal observer's, which knows how the spikes are made and wastes nothing "
    "of what they tell.",
}


def report(run: Run) -> Path:
    """Make the report and the pictures of a finished run anew, from the metrics in its folder."""
    return write_report(run, run.metrics)


def write_report(run: Run, metrics: Metrics) -> Path:
    """Draw a run's pictures and write its report. Raises UserError if the run lacks something or cannot be written."""
    environment = _environment(run)
    files = {name: figures.save(figure) for name, figure in pictures(run, metrics).items()}
    page = _page(run, metrics, files, environment)
    for name, png in files.items():
        run.write(f"figures/{name}.png", png)
    return run.write("report.html", page)


# ---------------------------------------------------------------------------------------------------------- pictures


def pictures(run: Run, metrics: Metrics) -> dict[str, Figure]:
    """All pictures of a finished run by their names, in the order of the report."""
    recipe, history, observer, seed = run.recipe, _history(run), run.observer(), metrics["seed"]
    confusion, limit = np.asarray(metrics["confusion"]), math.degrees(recipe.stimulus.max_ipd)
    loss = figures.loss_curve(
        history,
        expected=recipe.readout.expected_first_loss,
        chance=metrics["chance"],
        accuracy=metrics["accuracy"],
        ceiling=metrics.get("ideal", {}).get("accuracy"),
    )
    examples = analysis.example_activity(observer, recipe.stimulus, seed=seed)
    found = {
        "spike_trains": figures.spike_trains(recipe.stimulus.draw(8, seed=seed), recipe.stimulus),
        "confusion": figures.confusion_matrix(confusion, limit),
        "histograms": figures.histograms(confusion, limit),
        **_error_by_angle(metrics, limit),
        "loss": loss,
        "traces": _traces(recipe, examples),
    }
    tuning = analysis.tuning_curves(observer, recipe.stimulus, seed=seed) if recipe.network.hidden else None
    if tuning is not None:
        found |= _hidden_pictures(examples, tuning, recipe.stimulus.dt)
    return found | _weight_pictures(recipe, analysis.matrices(observer.network), tuning)


def _error_by_angle(metrics: Metrics, limit: float) -> dict[str, Figure]:
    if "error_by_angle" not in metrics:
        return {}
    table = {name: np.array(values, dtype=float) for name, values in metrics["error_by_angle"].items()}
    angles, floor = table.pop("angle_deg"), metrics["quantisation_floor_deg"]
    errors = {NAMES.get(name, name): error for name, error in table.items()}
    return {"error_by_angle": figures.error_by_angle(angles, errors, floor=floor, limit=limit)}


def _hidden_pictures(examples: analysis.Examples, tuning: analysis.Tuning, dt: float) -> dict[str, Figure]:
    orders = tuning.orders()
    hidden = [spikes[:, :, order] for spikes, order in zip(examples.hidden, orders, strict=False)]
    names = [f"hidden layer {depth + 1}" for depth in range(len(hidden))] + ["output layer"]
    rates = {name: rate[:, order] for name, rate, order in zip(names, tuning.rates, orders, strict=False)}
    return {
        "rasters": figures.hidden_rasters(np.rad2deg(examples.angle), hidden, dt),
        "firing_rates": figures.firing_rates(np.rad2deg(tuning.angle), rates),
    }


def _weight_pictures(recipe: Recipe, weights: list[np.ndarray], tuning: analysis.Tuning | None) -> dict[str, Figure]:
    panels: dict[str, dict[str, list[np.ndarray]]] = {"weights": {"": weights}}
    if tuning is not None:
        panels["weights_sorted"] = {
            "by centre of mass of input weights": analysis.sort_hidden(weights, analysis.sorted_orders(weights)),
            "by the angle of tuning": analysis.sort_hidden(weights, tuning.orders()[: len(weights) - 1]),
        }
    limit = math.degrees(recipe.stimulus.max_ipd) if recipe.readout.kind == "class" else None
    ear = recipe.stimulus.fibres_per_ear
    found = {n: figures.weight_matrices(rows, fibres_per_ear=ear, limit=limit) for n, rows in panels.items()}
    if tuning is not None:
        whole = {"": [analysis.product(weights)]}
        label = "product of weights"
        found["weights_product"] = figures.weight_matrices(whole, fibres_per_ear=ear, limit=limit, label=label)
    return found


def _traces(recipe: Recipe, examples: analysis.Examples) -> Figure:
    """Output traces: of all classes, or of the one angle that the outputs stand for."""
    traces, limit = examples.trace, math.degrees(recipe.stimulus.max_ipd)
    if recipe.readout.kind == "angle":
        traces = traces * limit
    elif recipe.readout.kind == "direction":
        z = population_vector(torch.from_numpy(traces).flatten(0, 1)).numpy()
        traces = np.rad2deg(np.arctan2(z[:, 1], z[:, 0])).reshape(*traces.shape[:2], 1)
    return figures.example_traces(
        np.rad2deg(examples.angle),
        np.rad2deg(examples.estimate),
        traces,
        recipe.stimulus.dt,
        limit=limit if recipe.readout.kind == "class" else None,
    )


# -------------------------------------------------------------------------------------------------------------- text


def _page(run: Run, metrics: Metrics, files: Mapping[str, bytes], environment: str) -> str:
    recipe = run.recipe
    captions = tomllib.loads(_text("report_captions.toml"))
    sections = {caption["section"] for caption in captions.values()}
    galleries = {f"{section}_pictures": _gallery(section, captions, files) for section in sections}
    return Template(_text("report_template.html")).substitute(
        galleries,
        name=escape(recipe.name),
        description=escape(recipe.description),
        result=_result(recipe, metrics),
        task=_task(recipe),
        network=_network(recipe),
        caveats=_caveats(recipe),
        stimulus=_stimulus(recipe),
        n_sounds=f"{metrics['n_sounds']:,}",
        others=" The observers below the network read the same spikes without one." if "observers" in metrics else "",
        scores=_scores(metrics),
        comparison=_comparison(metrics),
        measures=_measures(metrics),
        training=_training(recipe, _history(run)),
        recipe=escape(run.read("recipe.toml").decode("utf-8")),
        seed=recipe.seed,
        command=_command(run, recipe),
        environment=environment,
    )


def _history(run: Run) -> list[dict[str, float]]:
    history = run.history
    if not history or not {"epoch", "loss", "seconds"} <= history[0].keys():
        raise UserError(f"{run.path / 'history.csv'} is damaged: it should have a row with a loss for each epoch")
    return history


def _text(name: str) -> str:
    return resources.files("spikeloc").joinpath(name).read_text(encoding="utf-8")


def _gallery(section: str, captions: Mapping[str, Mapping[str, str]], files: Mapping[str, bytes]) -> str:
    return "\n".join(
        f'<figure id="{name}"><img {_image(files[name])} alt="{escape(about["title"])}">\n'
        f"<figcaption><b>{escape(about['title'])}.</b> {escape(about['caption'])}</figcaption></figure>"
        for name, about in captions.items()
        if about["section"] == section and name in files
    )


def _image(png: bytes) -> str:
    """Attributes of a picture inside the page, all pictures at the same scale."""
    width, height = (round(ON_PAGE * int.from_bytes(png[at : at + 4])) for at in (16, 20))
    return f'width="{width}" height="{height}" src="data:image/png;base64,{base64.b64encode(png).decode()}"'


def _result(recipe: Recipe, metrics: Metrics) -> str:
    ideal = f"; the ideal observer: {_percent(metrics['ideal']['accuracy'])}" if "ideal" in metrics else ""
    return (
        f"The network put <b>{_percent(metrics['accuracy'])}</b> of {metrics['n_sounds']:,} fresh test sounds into the "
        f"right one of {_classes(recipe)} (chance: {_percent(metrics['chance'])}{ideal}). Its angle is off by "
        f"{metrics['mean_absolute_error_deg']:.1f}° on average."
    )


def _task(recipe: Recipe) -> str:
    stimulus, words = recipe.stimulus, recipe.words()["stimulus"]
    limit, n = math.degrees(stimulus.max_ipd), recipe.readout.classes
    answer = f"in which of {_classes(recipe)}, each {2 * limit / n:.3g}° wide, it lies"
    if recipe.readout.kind != "class":
        answer = f"the angle itself; for the accuracy, that angle is put into one of {_classes(recipe)}"
    return (
        f"A tone of {escape(words['frequency'])} reaches two ears with an interaural phase difference (IPD) between "
        f"−{limit:.3g}° (source on the left) and {limit:.3g}° (source on the right). From {escape(words['duration'])} "
        f"of spikes of {stimulus.fibres_per_ear} auditory-nerve fibres at each ear, and nothing else, the network must "
        f"tell the IPD: {answer}."
    )


def _network(recipe: Recipe) -> str:
    network, words = recipe.network, recipe.words()["network"]
    taus = words["tau"] if isinstance(words["tau"], list) else [words["tau"]] * len(network.hidden)
    layers = [f"{recipe.stimulus.n_fibres} fibres"]
    layers += [f"{n} spiking neurons (time constant {tau})" for n, tau in zip(network.hidden, taus, strict=True)]
    kind = "spiking" if recipe.readout.output == "count" else "leaky"
    outputs = recipe.readout.n_outputs
    layers.append(f"{outputs} {kind} output neuron{'s' if outputs > 1 else ''} (time constant {words['output_tau']})")
    none = "" if network.hidden else " It has no spiking neurons between fibres and outputs."
    return escape(f"The network: {' → '.join(layers)}, read by their {READ_BY[recipe.readout.output]}.{none}")


def _caveats(recipe: Recipe) -> str:
    items = "".join(f"<li>{escape(caveat)}</li>" for caveat in recipe.stimulus.caveats())
    return f'<div class="note"><b>Mind this about the stimulus:</b><ul>{items}</ul></div>' if items else ""


def _stimulus(recipe: Recipe) -> str:
    about = {key: field.description or "" for key, field in type(recipe.stimulus).model_fields.items()}
    words = recipe.words()["stimulus"]
    rows = [[escape(str(cell)) for cell in (key, value, about[key])] for key, value in words.items()]
    return _table(("setting", "value", "what it is"), rows)


def _training(recipe: Recipe, history: Sequence[Mapping[str, float]]) -> str:
    settings, done = recipe.training, len(history)
    kind = "fresh in every epoch" if settings.fresh else "the same in every epoch, shuffled"
    seconds = sum(row["seconds"] for row in history)
    parts = [
        f"{done} epoch{'s' if done > 1 else ''} of {settings.sounds:,} sounds ({kind}) took {seconds:.1f} s.",
        f"The loss went from {history[0]['loss']:.3g} in the first epoch to {history[-1]['loss']:.3g} in the last.",
    ]
    if done < settings.epochs:
        parts.append(f"Training stopped before all {settings.epochs} epochs, as the validation loss got no better.")
    if "validation_loss" in history[0]:
        best = min(history, key=lambda row: row["validation_loss"])
        parts.append(f"The weights of epoch {best['epoch']:.0f}, those of the lowest validation loss, were kept.")
    else:
        parts.append("There was no validation; the last weights were kept.")
    return escape(" ".join(parts))


def _scores(metrics: Metrics) -> str:
    """The table of scores: the network, other observers of the same sounds, and what bounds them all."""
    ideal = metrics.get("ideal")
    others = {NAMES["ideal"]: ideal} if ideal else {}
    others |= {name.replace("_", " "): scores for name, scores in metrics.get("observers", {}).items()}
    rows = [_score_row(name, scores, ideal) for name, scores in {NAMES["network"]: metrics, **others}.items()]
    floor = f"{metrics['quantisation_floor_deg']:.2f}°"
    rows.append(["A perfect classifier", "100 %", floor, floor, "0°", ""])
    rows.append(["Chance", _percent(metrics["chance"]), "", "", "", ""])
    width = None if ideal else -1  # without an ideal observer, no column compares with it
    return _table(["", *MEASURES][:width], [row[:width] for row in rows], kind="scores")


def _comparison(metrics: Metrics) -> str:
    """How the network differs from the ideal observer, sound by sound."""
    if "versus_ideal" not in metrics:
        return ""
    versus = metrics["versus_ideal"]
    low, high = (_signed(bound, 2) for bound in versus["error_difference_deg_ci95"])
    p = f"p = {versus['p_value']:.2g}" if versus["p_value"] >= 0.001 else "p &lt; 0.001"
    return (
        f"<p>Sound by sound against the ideal observer: {_signed(100 * versus['accuracy_difference'], 1)} points of "
        f"accuracy (McNemar's test: {p}), {_signed(versus['error_difference_deg'], 2)}° of mean error (95 % interval "
        f"{low}° to {high}°).</p>"
    )


def _score_row(name: str, scores: Metrics, ideal: Metrics | None) -> list[str]:
    low, high = (f"{100 * bound:.1f}" for bound in scores["accuracy_ci95"])
    mean_low, mean_high = (f"{bound:.2f}" for bound in scores["mean_absolute_error_deg_ci95"])
    return [
        escape(name[:1].upper() + name[1:]),
        f"{_percent(scores['accuracy'])}<small>{low} to {high}</small>",
        f"{scores['mean_absolute_error_deg']:.2f}°<small>{mean_low} to {mean_high}</small>",
        f"{scores['median_absolute_error_deg']:.2f}°",
        f"{scores['class_error_deg']:.2f}°",
        _percent(scores["accuracy"] / ideal["accuracy"]) if ideal and ideal["accuracy"] else "",
    ]


def _measures(metrics: Metrics) -> str:
    known = [name for name in MEASURES if name != "of ideal" or "ideal" in metrics]
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(MEASURES[name])}</dd>" for name in known) + "</dl>"


def _command(run: Run, recipe: Recipe) -> str:
    """The shortest command that trains the same recipe again."""
    shipped = shipped_recipes().get(recipe.name)
    for options in ({}, {"seed": recipe.seed}, {"seed": recipe.seed, "training.epochs": recipe.training.epochs}):
        if shipped is not None and shipped.with_values(options) == recipe:
            words = [f"--{key.removeprefix('training.')} {value}" for key, value in options.items()]
            return " ".join(["spikeloc train", recipe.name, *words, "--out again"])
    return escape(f"spikeloc train {shlex.quote(str(run.path / 'recipe.toml'))} --out again")


def _environment(run: Run) -> str:
    content = run.read("environment.json")
    try:
        found = json.loads(content)
        rows = [*found.pop("packages", {}).items(), *found.items()]
    except (ValueError, AttributeError):
        raise UserError(f"{run.path / 'environment.json'} is damaged: it is no table of versions") from None
    return _table(("made with", "version"), [[escape(str(cell)) for cell in row] for row in rows])


# ------------------------------------------------------------------------------------------------------------- parts


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; the first cell of a row is its head."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for first, *rest in rows:
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    body = "\n".join(lines)
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>'


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _classes(recipe: Recipe) -> str:
    n = recipe.readout.classes
    return f"{n} classes" if n > 1 else "1 class"
