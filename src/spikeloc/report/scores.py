"""The scores of a run in words and tables."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from spikeloc.report.html import percent, signed, table
from spikeloc.report.pictures import NAMES, Metrics

__all__ = ["certainty", "comparison", "measures", "scores", "thresholds"]

MEASURES = {
    "accuracy": "Share of the test sounds put into the right class, with the interval that holds the true share with "
    "95 % confidence (Wilson). Chance is what guessing reaches.",
    "mean error": "How far the estimated angle is from the true one, on average, with its 95 % interval. A classifier "
    "answers with the middle of a class, so even a perfect one is off by a quarter of a class: its floor.",
    "in time": "The same as a time difference between the ears.",
    "in azimuth": "The same as a direction in the horizontal plane, for a round head (Woodworth's sphere).",
    "rms error": "The root of the mean of the squared errors, with its 95 % interval: gross errors weigh more. Studies "
    "of people give this one.",
    "median error": "Half of the errors are smaller. Unlike the mean, a few gross errors do not move it.",
    "class error": "How many classes the answer is off, times the width of a class. Its floor is zero.",
    "of ideal": "Accuracy as a share of the ideal observer's, which knows how the spikes are made and wastes nothing "
    "of what they tell.",
}


PHYSICAL = {"in time": ("mean_absolute_error_us", " µs"), "in azimuth": ("mean_absolute_error_azimuth_deg", "°")}


def scores(metrics: Metrics, *, classifies: bool) -> str:
    """The table of scores: the network, other observers of the same sounds, and what bounds them all.

    classifies   whether the network answers with classes, so that a perfect classifier's floor is its own
    """
    ideal, columns = metrics.get("ideal"), _columns(metrics)
    others = {NAMES["ideal"]: ideal} if ideal else {}
    others |= {NAMES.get(name, name.replace("_", " ")): found for name, found in metrics.get("observers", {}).items()}
    named = {NAMES["network"]: metrics, **others}
    rows = [[_capital(name), *_cells(found, ideal, columns)] for name, found in named.items()]
    floor = f"{metrics['quantisation_floor_deg']:.2f}°"
    perfect = {"accuracy": "100 %", "mean error": floor, "median error": floor, "class error": "0°"}
    if classifies:
        rows.append(["A perfect classifier", *(perfect.get(name, "") for name in columns)])
    if metrics.get("bound"):
        rows.append(["Cramér–Rao bound", *(_of_bound(metrics["bound"]).get(name, "") for name in columns)])
    if "people" in metrics:
        rows.append(["People, free field", *(_of_people(metrics["people"]).get(name, "") for name in columns)])
    rows.append(["Chance", *(percent(metrics["chance"]) if name == "accuracy" else "" for name in columns)])
    return table(["", *columns], rows, kind="scores")


def comparison(metrics: Metrics) -> str:
    """How the network differs from the ideal observer, or from each other one that it is compared with, by sounds."""
    pairs = {"the ideal observer": metrics["versus_ideal"]} if "versus_ideal" in metrics else {}
    pairs |= {NAMES.get(name, name): versus for name, versus in metrics.get("versus", {}).items()}
    return "\n".join(_pair(name, versus) for name, versus in pairs.items())


def _pair(name: str, versus: Mapping[str, Any]) -> str:
    low, high = (signed(bound, 2) for bound in versus["error_difference_deg_ci95"])
    p = f"p = {versus['p_value']:.2g}" if versus["p_value"] >= 0.001 else "p &lt; 0.001"
    return (
        f"<p>Sound by sound against {escape(name)}: {signed(100 * versus['accuracy_difference'], 1)} points of "
        f"accuracy (McNemar's test: {p}), {signed(versus['error_difference_deg'], 2)}° of mean error (95 % interval "
        f"{low}° to {high}°).</p>"
    )


def measures(metrics: Metrics) -> str:
    """What the columns of the table mean."""
    items = (f"<dt>{name}</dt><dd>{escape(MEASURES[name])}</dd>" for name in _columns(metrics))
    return f"<dl>{''.join(items)}</dl>"


def thresholds(metrics: Metrics) -> str:
    """The table of just-noticeable differences, and what they are."""
    found = metrics.get("thresholds")
    if not found:
        return ""
    named = {NAMES["network"]: "network", NAMES["ideal"]: "ideal", "Cramér–Rao bound": "cramer_rao", "people": "people"}
    rows = [[_capital(name), *_threshold(found, key)] for name, key in named.items() if key in found]
    return (
        "<h3>The smallest difference</h3>\n<p>Two sounds, one from straight ahead and one a little to the right, in "
        "random order: which is which? The just-noticeable difference is the one at which the answer is right in 75 % "
        "of trials. "
        f"Measured with {found['n_sounds']:,} sounds of each kind"
        + (". People: best thresholds for tones (Mills 1958)" if "people" in found else "")
        + '.</p>\n<div class="wide">'
        + table(["", "difference in phase", "difference in time", "of the ideal observer's"], rows, kind="scores")
        + "</div>"
    )


def certainty(metrics: Metrics) -> str:
    """Whether the network knows how sure it is."""
    table_of = metrics.get("calibration", {})
    if "network" not in table_of:
        return ""
    found, ideal = table_of["network"], table_of.get("ideal")
    share = {level: _share(found, level) for level in (68, 95)}
    beside = ""
    if ideal:
        beside = f" (the ideal observer's: {percent(ideal['coverage_68'])} and {percent(ideal['coverage_95'])})"
    return (
        f"<h3>Does it know how sure it is?</h3>\n<p>The length of the population vector says how far off the network "
        f"expects to be: {found['rms_uncertainty_deg']:.2f}°; it is off by {found['rms_error_deg']:.2f}° (root mean "
        f"squares). Its 68 % intervals hold {share[68]} of the true angles, its 95 % intervals {share[95]}{beside}.</p>"
    )


def _columns(metrics: Metrics) -> list[str]:
    absent = {name for name, (key, _) in PHYSICAL.items() if key not in metrics}
    absent |= set() if metrics.get("ideal") else {"of ideal"}
    absent |= set() if "people" in metrics else {"rms error"}  # what people reach is given as such
    return [name for name in MEASURES if name not in absent]


def _cells(found: Mapping[str, Any], ideal: Metrics | None, columns: list[str]) -> list[str]:
    low, high = (f"{100 * bound:.1f}" for bound in found["accuracy_ci95"])
    cells = {
        "accuracy": f"{percent(found['accuracy'])}<small>{low} to {high}</small>",
        "mean error": _with_interval(found, "mean_absolute_error_deg", "°"),
        "median error": f"{found['median_absolute_error_deg']:.2f}°",
        "class error": f"{found['class_error_deg']:.2f}°",
        "of ideal": percent(found["accuracy"] / ideal["accuracy"]) if ideal and ideal["accuracy"] else "",
    }
    if "rms error" in columns:
        cells["rms error"] = _with_interval(found, "root_mean_square_error_deg", "°")
    cells |= {name: _with_interval(found, key, unit) for name, (key, unit) in PHYSICAL.items() if key in found}
    return [cells.get(name, "") for name in columns]


def _of_people(people: Mapping[str, Any]) -> dict[str, str]:
    spread = f"<small>± {people['root_mean_square_error_deg_sd']:.1f} over listeners</small>"
    return {"rms error": f"{people['root_mean_square_error_deg']:.1f}°{spread}"}


def _of_bound(bound: Mapping[str, Any]) -> dict[str, str]:
    cells = {"accuracy": percent(bound["accuracy"]), "mean error": f"{bound['mean_absolute_error_deg']:.2f}°"}
    if "mean_absolute_error_us" in bound:
        cells["in time"] = f"{bound['mean_absolute_error_us']:.2f} µs"
    return cells


def _with_interval(found: Mapping[str, Any], key: str, unit: str) -> str:
    low, high = (f"{bound:.2f}" for bound in found[f"{key}_ci95"])
    return f"{found[key]:.2f}{unit}<small>{low} to {high}</small>"


def _threshold(found: Mapping[str, Any], key: str) -> list[str]:
    row = found[key]
    if row["ipd_deg"] is None:
        return ["none in the range", "", ""]
    cells = [f"{row['ipd_deg']:.2f}°", f"{row['itd_us']:.1f} µs"]
    for place, (name, unit) in enumerate((("ipd_deg", "°"), ("itd_us", " µs"))):
        ends = row.get(f"{name}_ci95")
        if ends:
            low, high = ("∞" if end is None else f"{end:.2f}" if unit == "°" else f"{end:.1f}" for end in ends)
            cells[place] += f"<small>{low} to {high}</small>"
    ratio = found.get("network_over_ideal")
    if key == "network" and ratio:
        ends = found["network_over_ideal_ci95"]
        return [*cells, f"× {ratio:.2f}<small>{ends[0]:.2f} to {ends[1]:.2f}</small>"]
    ideal = found["ideal"]["ipd_deg"]
    return [*cells, f"× {row['ipd_deg'] / ideal:.2f}" if ideal else ""]


def _share(found: Mapping[str, Any], level: int) -> str:
    low, high = (f"{100 * end:.1f}" for end in found[f"coverage_{level}_ci95"])
    return f"{percent(found[f'coverage_{level}'])} ({low} to {high})"


def _capital(name: str) -> str:
    return escape(name[:1].upper() + name[1:])
