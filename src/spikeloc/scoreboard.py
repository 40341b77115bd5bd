"""Metrics as lines of text for a terminal. Prints nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["score_lines"]

NAMES = {"network": "network", "ideal": "ideal observer", "cramer_rao": "Cramér-Rao bound", "people": "people, about"}


def score_lines(metrics: dict[str, Any]) -> Iterator[str]:
    """A table of the network, the ideal observer and the others, and what bounds their scores, in a sentence each."""
    rows = {"network": metrics} if "accuracy" in metrics else {}
    rows |= {"ideal observer": metrics["ideal"]} if metrics["ideal"] else {}
    rows |= metrics["observers"]
    squares = not metrics["ideal"]  # of scenes, whose errors are compared with those of people
    yield f"{metrics['recipe']}: {metrics['n_sounds']} test sounds, seed {metrics['seed']}"
    yield (
        f"{'':<27}{'accuracy':>9}  {'95 % interval':<14}{'mean |error|':>13}  {'95 % interval':<15}"
        f"{'rms error' if squares else 'class error':>11}"
    )
    for name, row in rows.items():
        low, high = (100 * bound for bound in row["accuracy_ci95"])
        error_low, error_high = row["mean_absolute_error_deg_ci95"]
        yield (
            f"  {_spelled(name):<25}{100 * row['accuracy']:>7.1f} %  {f'{low:.1f} to {high:.1f}':<14}"
            f"{row['mean_absolute_error_deg']:>9.2f} deg  {f'{error_low:.2f} to {error_high:.2f}':<15}"
            f"{row['root_mean_square_error_deg' if squares else 'class_error_deg']:>7.2f} deg"
        )
    yield from _yardsticks(metrics, next(iter(rows.values())))


def _spelled(name: str) -> str:
    return {"gcc_phat": "GCC-PHAT of the ears", "ear_correlation": "correlation of the ears"}.get(
        name, name.replace("_", " ")
    )


def _yardsticks(metrics: dict[str, Any], any_row: dict[str, Any]) -> Iterator[str]:
    """What bounds the scores, in a sentence each."""
    ideal, bound, people = metrics["ideal"], metrics.get("bound"), metrics.get("people")
    yield (
        f"  chance is {100 * any_row['chance']:.1f} %; a perfect classifier of these classes has a mean |error| of "
        f"{any_row['quantisation_floor_deg']:.2f} deg"
    )
    if bound:
        yield (
            f"  Cramér-Rao bound: accuracy {100 * bound['accuracy']:.1f} %, mean |error| "
            f"{bound['mean_absolute_error_deg']:.2f} deg"
        )
    if metrics.get("fraction_of_ideal") is not None:
        yield f"  the network reaches {100 * metrics['fraction_of_ideal']:.1f} % of the ideal observer's accuracy"
    if ideal and "mean_absolute_error_us" in ideal:
        errors = {"network": metrics, "ideal observer": ideal} if "accuracy" in metrics else {"ideal observer": ideal}
        for name, row in errors.items():
            yield (
                f"  mean |error| of the {name}: {row['mean_absolute_error_us']:.1f} us, "
                f"{row['mean_absolute_error_azimuth_deg']:.2f} deg of azimuth"
            )
    for name, each in metrics.get("versus", {}).items():
        low, high = each["error_difference_deg_ci95"]
        yield (
            f"  the network's mean |error| less that of the {_spelled(name)}: {each['error_difference_deg']:+.2f} deg "
            f"[{low:+.2f}, {high:+.2f}], sound by sound"
        )
    for name, each in metrics.get("calibration", {}).items():
        yield (
            f"  {NAMES[name]}: {100 * each['coverage_68']:.1f} % of true angles within its 68 % intervals, "
            f"{100 * each['coverage_95']:.1f} % within its 95 % intervals"
        )
    if people:
        yield (
            f"  people in a quiet room: rms error {people['root_mean_square_error_deg']:.1f} deg (sd "
            f"{people['root_mean_square_error_deg_sd']:.1f} over listeners); smallest step heard in front about "
            f"{people['minimum_audible_angle_deg']:.0f} deg"
        )
    if "thresholds" in metrics:
        yield from _thresholds(metrics["thresholds"])
    for note in [*([metrics["head"]["statement"]] if "head" in metrics else []), *metrics.get("notes", [])]:
        yield f"  {note}"


def _thresholds(found: dict[str, Any]) -> Iterator[str]:
    """Just-noticeable differences, and how the network's compares."""
    parts = []
    for key, name in NAMES.items():
        if key in found:
            row = found[key]
            known = row["ipd_deg"] is not None
            size = f"{row['itd_us']:.1f} us = {row['ipd_deg']:.2f} deg of phase" if known else "none in the range"
            parts.append(f"{name} {size}")
    yield f"  just-noticeable difference (75 % correct): {'; '.join(parts)}"
    if found.get("network_over_ideal"):
        low, high = found["network_over_ideal_ci95"]
        yield f"  the network's is {found['network_over_ideal']:.2f} times the ideal observer's [{low:.2f}, {high:.2f}]"
