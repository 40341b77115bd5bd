"""Pictures of thresholds and of calibration: what a network can tell apart, and whether it knows how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from spikeloc.figures.parts import BEHIND, ESTIMATE, GREY, INK, LEGEND, level, open_grid, styled

__all__ = ["psychometric_function", "reliability"]

LINES = ((ESTIMATE, "o-"), (INK, "s--"))  # the network's, the ideal observer's


@styled
def psychometric_function(
    ipd: np.ndarray,
    correct: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float],
    *,
    frequency: float,
    people: float | None = None,
) -> Figure:
    """Proportion correct over the difference between two sounds, for each observer by its name, and where 75 % are.

    ipd, people   phase differences, degrees; that of people's threshold, if they hear such tones
    thresholds    just-noticeable differences by the observers' names, degrees
    frequency     of the tone, Hz: the upper axis has the same differences in microseconds
    """
    figure, ((axes,),) = open_grid(1, 1, height=2.9, top=LEGEND + 0.35)
    for (name, shares), (colour, style) in zip(correct.items(), LINES, strict=False):
        label = name
        if name in thresholds:
            axes.vlines(thresholds[name], 50, 75, color=colour, lw=1)
            label += f": {thresholds[name]:.2f}° ({_us(thresholds[name], frequency):.1f} µs)"
        axes.plot(ipd, 100 * np.asarray(shares), style, ms=4, color=colour, label=label)
    level(axes, 75, "threshold (%)")
    if people is not None:
        axes.axvline(people, color=GREY, ls="-.", lw=1.2)
        text = axes.text(people, 0.97, f"people: about {_us(people, frequency):.3g} µs ", color=GREY, fontsize=8)
        text.set(ha="right", va="top", bbox=BEHIND, transform=axes.get_xaxis_transform())
    axes.set(xscale="log", xlabel="difference in IPD (deg)", ylabel="correct (%)", ylim=(48, 102))
    _plain_log(axes)
    upper = axes.secondary_xaxis(
        "top", functions=(lambda ipd: _us(ipd, frequency), lambda us: us * 360 * frequency * 1e-6)
    )
    upper.set_xlabel("difference in ITD (µs)")
    _plain(upper.xaxis)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.17), ncols=2)
    return figure


@styled
def reliability(
    nominal: Sequence[float],
    coverage: Mapping[str, Sequence[float]],
    stated: Mapping[str, Sequence[float]],
    found: Mapping[str, Sequence[float]],
) -> Figure:
    """Left, how many true angles lie in intervals of each probability; right, errors over the uncertainty stated.

    Each by the observer's name; on the dashed diagonals lies an observer that knows how wrong it is. Stated and found
    in degrees, root mean squares over groups of sounds of like uncertainty.
    """
    figure, grid = open_grid(1, 2, height=2.9, gap=0.8)
    left, right = grid[0]
    for (name, shares), (colour, style) in zip(coverage.items(), LINES, strict=False):
        left.plot(100 * np.asarray(nominal), 100 * np.asarray(shares), style, ms=3, color=colour, label=name)
        right.plot(stated[name], found[name], style[0], ms=5, color=colour, mfc="none" if style[0] == "s" else colour)
    left.plot([0, 100], [0, 100], color=GREY, ls=":", lw=1.2, zorder=0)
    left.set(xlabel="probability of the interval (%)", ylabel="true angles within (%)", xlim=(0, 100), ylim=(0, 100))
    values = [value for table in (stated, found) for row in table.values() for value in row if value > 0] or [1.0]
    ends = (0.8 * min(values), 1.25 * max(values))
    right.plot(ends, ends, color=GREY, ls=":", lw=1.2, zorder=0)
    right.set(xlim=ends, ylim=ends, xlabel="uncertainty stated (deg)", ylabel="rms error found (deg)")
    if ends[1] > 10 * ends[0]:
        right.set(xscale="log", yscale="log")
        _plain_log(right)
    left.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def _us(ipd: np.ndarray | float, frequency: float) -> np.ndarray | float:
    return ipd / (360 * frequency) * 1e6


def _plain_log(axes: Axes) -> None:
    """Plain numbers at logarithmic marks."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            _plain(axis)


def _plain(axis: Axis) -> None:
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:.4g}")
