"""The report: run -> report.html, one file with everything in it, and its pictures as figures/*.png."""

from __future__ import annotations

import base64
import json
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from spikeloc.drawing import Drawer
from spikeloc.errors import UserError
from spikeloc.recipe import Recipe, shipped_recipes
from spikeloc.report.html import table
from spikeloc.report.pictures import Metrics, history_of, pictures_of_network, pictures_of_scores
from spikeloc.report.scores import certainty, comparison, measures, scores, thresholds
from spikeloc.report.words import others, result, stimulus_table, task
from spikeloc.runs import Run

__all__ = ["begin_report", "go_on_with_report", "report", "write_report"]

ON_PAGE = 0.83  # of a picture's pixels: what fills the width of the page
READ_BY = {"mean": "mean potential", "max": "highest potential", "count": "number of spikes"}


def report(run: Run) -> Path:
    """Make the report and the pictures of a finished run anew, from the metrics in its folder."""
    return write_report(run, run.metrics)


def begin_report(run: Run, drawer: Drawer, seed: int | None = None) -> None:
    """Hand over those pictures of a finished run that need no score, so that they are drawn while it is made.

    seed   of the example sounds: by default that of the run's score, or what it will be
    """
    if seed is None:
        seed = run.metrics["seed"] if run.has("metrics.json") else run.recipe.seed
    drawer.draw(pictures_of_network(run, seed))


def go_on_with_report(run: Run, drawer: Drawer, metrics: Metrics) -> None:
    """Hand over the pictures of those metrics that are final."""
    drawer.draw(pictures_of_scores(run, metrics))


def write_report(run: Run, metrics: Metrics, drawer: Drawer | None = None) -> Path:
    """Draw a run's pictures and write its report. Raises UserError if the run lacks something or cannot be written.

    drawer   to which :func:`begin_report` has handed the first pictures, and which may have got some of the others from
             :func:`go_on_with_report`; by default all are drawn here
    """
    environment = _environment(run)
    if drawer is None:
        drawer = Drawer()
        begin_report(run, drawer, metrics["seed"])
    go_on_with_report(run, drawer, metrics)
    files = drawer.finished()
    page = _page(run, metrics, files, environment)
    for name, png in files.items():
        run.write(f"figures/{name}.png", png)
    return run.write("report.html", page)


def _page(run: Run, metrics: Metrics, files: Mapping[str, bytes], environment: str) -> str:
    recipe = run.recipe
    captions = _captions(recipe)
    sections = {caption["section"] for caption in captions.values()}
    galleries = {f"{section}_pictures": _gallery(section, captions, files) for section in sections}
    return Template(_text("template.html")).substitute(
        galleries,
        name=escape(recipe.name),
        description=escape(recipe.description),
        result=result(recipe, metrics),
        task=task(recipe),
        network=_network(recipe),
        caveats=_caveats(recipe),
        stimulus=stimulus_table(recipe),
        n_sounds=f"{metrics['n_sounds']:,}",
        others=others(recipe) if "observers" in metrics else "",
        scores=scores(metrics, classifies=recipe.readout.kind == "class"),
        comparison=comparison(metrics),
        measures=measures(metrics),
        head=_head(metrics),
        thresholds=thresholds(metrics),
        certainty=certainty(metrics),
        notes=_notes(metrics),
        training=_training(recipe, history_of(run)),
        recipe=escape(run.read("recipe.toml").decode("utf-8")),
        seed=recipe.seed,
        command=_command(run, recipe),
        environment=environment,
    )


def _text(name: str) -> str:
    return resources.files("spikeloc.report").joinpath(name).read_text(encoding="utf-8")


def _captions(recipe: Recipe) -> dict[str, dict[str, str]]:
    captions = tomllib.loads(_text("captions.toml"))
    if recipe.stimulus.kind == "scene":
        of_scenes = tomllib.loads(_text("captions-scene.toml"))
        captions = {**of_scenes, **captions, **of_scenes}  # what only scenes have comes first
    return captions


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


def _head(metrics: Metrics) -> str:
    return f"<p>{escape(metrics['head']['statement'])}</p>" if "head" in metrics else ""


def _notes(metrics: Metrics) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in metrics.get("notes", ()))
    return f'<div class="note"><b>Mind this about the scores:</b><ul>{items}</ul></div>' if items else ""


def _training(recipe: Recipe, history: Sequence[Mapping[str, float]]) -> str:
    settings, done = recipe.training, len(history)
    kind = "fresh in every epoch" if settings.fresh else "the same in every epoch, shuffled"
    seconds = sum(row["seconds"] for row in history)
    parts = [
        f"{done} epoch{'s' if done > 1 else ''} of {settings.sounds:,} sounds ({kind}) took {seconds:.1f} s.",
        f"The loss went from {_number(history[0]['loss'])} in the first epoch to {_number(history[-1]['loss'])} in "
        f"the last.",
    ]
    if done < settings.epochs:
        parts.append(f"Training stopped before all {settings.epochs} epochs, as the validation loss got no better.")
    if "validation_loss" in history[0]:
        best = min(history, key=lambda row: row["validation_loss"])
        parts.append(f"The weights of epoch {best['epoch']:.0f}, those of the lowest validation loss, were kept.")
    else:
        parts.append("There was no validation; the last weights were kept.")
    if settings.refit_sounds:
        parts.append(
            f"Then output weights were solved for by least squares on {settings.refit_sounds:,} other sounds, and kept "
            f"unless validation found them worse."
        )
    return escape(" ".join(parts))


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


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
    return table(("made with", "version"), [[escape(str(cell)) for cell in row] for row in rows])
