"""What was asked and what came out, in words: of tones and of scenes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from pydantic import BaseModel

from spikeloc.recipe import Recipe
from spikeloc.report.html import n_classes, percent, table
from spikeloc.report.pictures import NAMES, Metrics
from spikeloc.stimuli import SceneStimulus, ToneStimulus

__all__ = ["others", "result", "stimulus_table", "task"]


def result(recipe: Recipe, metrics: Metrics) -> str:
    """The result in a sentence or two."""
    if isinstance(recipe.stimulus, SceneStimulus):
        return _result_of_scenes(recipe, metrics)
    ideal = f"; the ideal observer: {percent(metrics['ideal']['accuracy'])}" if "ideal" in metrics else ""
    return (
        f"The network put <b>{percent(metrics['accuracy'])}</b> of {metrics['n_sounds']:,} fresh test sounds into the "
        f"right one of {n_classes(recipe)} (chance: {percent(metrics['chance'])}{ideal}). Its angle is off by "
        f"{metrics['mean_absolute_error_deg']:.1f}°{_in_time(metrics)} on average{_bettered(metrics)}."
    )


def _in_time(metrics: Metrics) -> str:
    return f" ({metrics['mean_absolute_error_us']:.1f} µs)" if "mean_absolute_error_us" in metrics else ""


def _bettered(metrics: Metrics) -> str:
    return f"; the ideal observer's by {metrics['ideal']['mean_absolute_error_deg']:.1f}°" if "ideal" in metrics else ""


def _result_of_scenes(recipe: Recipe, metrics: Metrics) -> str:
    text = (
        f"The network's azimuth is off by <b>{metrics['mean_absolute_error_deg']:.1f}°</b> on average over "
        f"{metrics['n_sounds']:,} fresh test sounds (root mean square {metrics['root_mean_square_error_deg']:.1f}°)"
    )
    for name, found in metrics.get("observers", {}).items():
        text += f"; that of {NAMES.get(name, name)} by {found['mean_absolute_error_deg']:.1f}°"
    text += f". It lies in the right one of {n_classes(recipe)} for {percent(metrics['accuracy'])} of the sounds "
    text += f"(chance: {percent(metrics['chance'])})."
    people = metrics.get("people")
    if people:
        text += (
            f" People who name the loudspeaker that sounded, in a room without echoes and noise, are off by "
            f"{people['root_mean_square_error_deg']:.1f}° (root mean square), and in front they tell apart about "
            f"{people['minimum_audible_angle_deg']:.0f}°."
        )
    return text


def others(recipe: Recipe) -> str:
    """Who else was asked."""
    if isinstance(recipe.stimulus, SceneStimulus):
        return " The observers below the network correlate the sound pressures at the ears; they see no spikes."
    return " The observers below the network read the same spikes without one."


def task(recipe: Recipe) -> str:
    """What the network is asked."""
    stimulus = recipe.stimulus
    limit, n = math.degrees(stimulus.limit), recipe.readout.classes
    answer = f"in which of {n_classes(recipe)}, each {2 * limit / n:.3g}° wide, it lies"
    if recipe.readout.kind != "class":
        answer = f"the angle itself; for the accuracy, that angle is put into one of {n_classes(recipe)}"
    words = recipe.words()["stimulus"]
    if isinstance(stimulus, ToneStimulus):
        return (
            f"A tone of {escape(words['frequency'])} reaches two ears with an interaural phase difference (IPD) "
            f"between −{limit:.3g}° (source on the left) and {limit:.3g}° (source on the right). From "
            f"{escape(words['duration'])} of spikes of {stimulus.fibres_per_ear} auditory-nerve fibres at each ear, "
            f"and nothing else, the network must tell the IPD: {answer}."
        )
    kinds = ", ".join(dict.fromkeys(stimulus.source.kinds))
    among = "s" if len(stimulus.heads) > 1 else ""
    return (
        f"A sound ({escape(kinds)}) reaches two ears through the head{among} {escape(', '.join(stimulus.heads))}, from "
        f"an azimuth between −{limit:.3g}° (on the left) and {limit:.3g}° (on the right).{_around(stimulus)} At each "
        f"ear a cochlea of {stimulus.cochlea.channels} channels excites {stimulus.n_fibres // 2} auditory-nerve "
        f"fibres. From {escape(words['duration'])} of their spikes, and nothing else, the network must tell the "
        f"azimuth: {answer}."
    )


def _around(stimulus: SceneStimulus) -> str:
    """What makes it difficult."""
    low, high = stimulus.snr
    parts = [
        (stimulus.noisy, f"in diffuse noise, at {low:.3g} to {high:.3g} dB".replace("-", "−")),
        (stimulus.accompanied, "together with a second source"),
        (stimulus.reverberant, "in a room"),
    ]
    found = [f"{100 * share:.3g} % of the sounds are heard {how}" for share, how in parts if share > 0]
    return f" {'; '.join(found)}." if found else ""


def stimulus_table(recipe: Recipe) -> str:
    """Every setting of the stimulus, its value and what it is."""
    rows = _rows(recipe.words()["stimulus"], type(recipe.stimulus))
    return table(("setting", "value", "what it is"), [[escape(cell) for cell in row] for row in rows])


def _rows(words: Mapping[str, Any], section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for key, value in words.items():
        field = section.model_fields[key]
        if isinstance(value, Mapping):
            assert isinstance(field.annotation, type)
            yield from _rows(value, field.annotation, f"{prefix}{key}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{key}", text, field.description or ""
