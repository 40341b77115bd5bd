"""The picture of where a recording comes from: azimuth over time, and the answer for all from above."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Wedge

from spikeloc.figures.parts import ESTIMATE, GREY, INK, LEGEND, PALE, TRUE, angle_ticks, degrees, open_grid, styled

__all__ = ["localisation"]

LIMIT = 90.0
MOST_RAYS = 200
HEAD = 0.12  # radius of the head where the half circle's is 1
ABSENT = {"silent": ("silent", PALE), "clipped": ("overdriven", "#f3d9b1")}


@styled
def localisation(found: Mapping[str, Any], true: float | None = None) -> Figure:
    """Left, the azimuth of every window over time with its uncertainty; right, all seen from above, and the answer.

    found   `azimuth_deg`, `uncertainty_deg` and `windows`, as :class:`~spikeloc.localisation.Localisation` words them
    true    the true azimuth where it is known, degrees
    """
    figure, grid = open_grid(1, 2, height=3.0, gap=0.9, right=0.3, top=LEGEND)
    _over_time(grid[0, 0], found["windows"], true)
    _from_above(grid[0, 1], found, true)
    return figure


def _over_time(axes: Axes, windows: Sequence[Mapping[str, Any]], true: float | None) -> None:
    time = np.array([window["time_s"] for window in windows])
    half = (time[1] - time[0]) / 2 if len(time) > 1 else time[0]
    for key, (name, colour) in ABSENT.items():
        for place, run in enumerate(_runs([bool(window[key]) for window in windows])):
            ends = time[run.start] - half, time[run.stop - 1] + half
            axes.axvspan(*ends, color=colour, lw=0, label=name if place == 0 else None)
    for place, run in enumerate(_runs([window["azimuth_deg"] is not None for window in windows])):
        part, at = windows[run], time[run]
        angle = np.array([window["azimuth_deg"] for window in part])
        if all(window["uncertainty_deg"] is not None for window in part):
            spread = np.array([window["uncertainty_deg"] for window in part])
            low, high = (np.clip(angle + sign * spread, -LIMIT, LIMIT) for sign in (-1, 1))
            if len(part) > 1:
                axes.fill_between(at, low, high, color=ESTIMATE, alpha=0.2, lw=0)
            else:
                axes.vlines(at, low, high, color=ESTIMATE, alpha=0.2, lw=4)
        style = {"marker": "o", "ms": 3} if len(windows) <= MOST_RAYS else {"lw": 0.8}
        axes.plot(at, angle, color=ESTIMATE, label="estimate" if place == 0 else None, **style)
    if true is not None:
        axes.axhline(true, color=TRUE, ls="--", lw=1.2, label="true azimuth")
    axes.set(xlabel="time (s)", ylabel="azimuth (deg)", xlim=(time[0] - half, time[-1] + half), ylim=(-LIMIT, LIMIT))
    angle_ticks(axes.yaxis, LIMIT)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4)


def _from_above(axes: Axes, found: Mapping[str, Any], true: float | None) -> None:
    """A half circle around a head whose nose points up; every window is a ray."""
    angle, spread = found["azimuth_deg"], found["uncertainty_deg"]
    heard = [each["azimuth_deg"] for each in found["windows"] if each["azimuth_deg"] is not None]
    for each in heard[:: math.ceil(len(heard) / MOST_RAYS)]:
        axes.plot(*np.transpose([_point(each, HEAD), _point(each, 0.93)]), color=ESTIMATE, lw=0.8, alpha=0.25)
    axes.add_patch(Wedge((0, 0), 1, 0, 180, fill=False, ec=GREY, lw=0.8))
    if spread is not None:
        ends = max(-LIMIT, angle - spread), min(LIMIT, angle + spread)
        axes.add_patch(Wedge((0, 0), 1, 90 - ends[1], 90 - ends[0], width=1 - HEAD, fc=ESTIMATE, alpha=0.2, lw=0))
    if true is not None:
        axes.plot(*_point(true, 1), "o", ms=11, mfc="none", mec=TRUE, mew=1.8)
    axes.plot(*_point(angle, 1), "o", ms=6, color=ESTIMATE)
    nose = [(-0.3 * HEAD, 0.93 * HEAD), (0.3 * HEAD, 0.93 * HEAD), (0, 1.3 * HEAD)]
    axes.add_patch(Polygon(nose, fc=INK, ec=INK))
    axes.add_patch(Circle((0, 0), HEAD, fc="white", ec=INK, lw=1.2))
    for mark in range(-90, 91, 30):
        axes.plot(*np.transpose([_point(mark, 1), _point(mark, 1.03)]), color=GREY, lw=0.8)
        text = axes.text(
            *_point(mark, 1.12 if abs(mark) < LIMIT else 1.18),
            degrees(mark) if mark else "ahead",
            fontsize=8,
            color=GREY,
        )
        text.set(ha="center", va="center")
    title = degrees(angle) + ("" if spread is None else f" ± {spread:.0f}°")
    axes.set(title=title if true is None else f"{title}, true {degrees(true)}")
    axes.set(xlim=(-1.35, 1.35), ylim=(-0.25, 1.25), aspect="equal")
    axes.axis("off")


def _point(azimuth: float, radius: float) -> tuple[float, float]:
    angle = math.radians(azimuth)
    return radius * math.sin(angle), radius * math.cos(angle)


def _runs(present: Sequence[bool]) -> Iterator[slice]:
    """Stretches of consecutive true entries."""
    begin = None
    for place, is_so in enumerate([*present, False]):
        if is_so and begin is None:
            begin = place
        elif not is_so and begin is not None:
            yield slice(begin, place)
            begin = None
