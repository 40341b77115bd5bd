"""Pictures of what a network answers, and of how far off it is; ``angle`` says what kind of angle it is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from spikeloc.figures.parts import (
    BAR,
    ESTIMATE,
    GREY,
    INK,
    LEFT,
    LEGEND,
    NO_TITLE,
    PALE,
    TITLE,
    angle_ticks,
    colour_bar,
    draw_cells,
    level,
    open_grid,
    styled,
)

__all__ = ["confusion_matrices", "error_by_angle", "error_histogram", "histograms"]

LINES = ((ESTIMATE, "-"), (INK, "--"), (LEFT, "-."))  # the network's, the ideal or another observer's, a third one's


@styled
def histograms(confusion: np.ndarray, limit: float, angle: str = "IPD") -> Figure:
    """How often each class is true and how often it is the estimate; counts, rows estimated, columns true."""
    figure, ((axes,),) = open_grid(1, 1, height=2.5, top=NO_TITLE)
    edges = np.linspace(-limit, limit, len(confusion) + 1)
    axes.stairs(confusion.sum(axis=0), edges, fill=True, color=PALE, label="true")
    axes.stairs(confusion.sum(axis=1), edges, baseline=None, lw=1.6, color=ESTIMATE, label="estimated")
    axes.set(xlabel=f"{angle} (deg)", ylabel="sounds", xlim=(-limit, limit))
    axes.margins(y=0.18)
    angle_ticks(axes.xaxis, limit)
    axes.legend(ncols=2, loc="upper right")
    return figure


@styled
def confusion_matrices(confusions: Mapping[str, np.ndarray], limit: float, angle: str = "IPD") -> Figure:
    """What observers say (rows) for each true class (columns), as shares of the sounds of that class; one panel each.

    confusions   counts by the observer's name
    """
    n = len(confusions)
    figure, grid = open_grid(1, n, height=3.93 if n == 1 else 3.2, gap=0.75, right=BAR, top=TITLE, widths=2.4)
    for axes, (name, confusion) in zip(grid[0], confusions.items(), strict=True):
        counts = np.asarray(confusion, dtype=float)
        total = counts.sum(axis=0, keepdims=True)
        share = np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)
        axes.set_facecolor(PALE)  # a class of which there was no sound
        image = draw_cells(axes, share, (-limit, limit, -limit, limit), vmin=0, vmax=100)
        axes.set(xlabel=f"true {angle} (deg)", ylabel=f"estimated {angle} (deg)", title=name)
        angle_ticks(axes.xaxis, limit)
        angle_ticks(axes.yaxis, limit)
    colour_bar(image, axes, "sounds of the true class (%)")
    return figure


@styled
def error_histogram(
    edges: np.ndarray,
    counts: Mapping[str, np.ndarray],
    *,
    sd: float | None = None,
    frequency: float | None = None,
    angle: str = "IPD",
) -> Figure:
    """How far estimates are off, and to which side, for each observer by its name.

    edges, sd   degrees; the standard deviation of the bound, drawn as the normal density of errors that meet it
    frequency   of the tone, Hz, where a head can make it: then there is an upper axis in microseconds
    """
    figure, ((axes,),) = open_grid(1, 1, height=2.5, top=LEGEND + (0.3 if frequency else 0))
    for (name, count), (colour, style) in zip(counts.items(), LINES, strict=False):
        share = 100 * np.asarray(count) / max(1, np.sum(count))
        axes.stairs(share, edges, baseline=None, color=colour, lw=1.2, label=name)
        if style == "-":
            axes.stairs(share, edges, color=colour, alpha=0.2, fill=True)
    if sd:
        x = np.linspace(edges[0], edges[-1], 400)
        density = np.exp(-(x**2) / (2 * sd**2)) / (sd * math.sqrt(2 * math.pi))
        axes.plot(x, 100 * density * (edges[1] - edges[0]), color=GREY, ls=":", label="Cramér–Rao bound")
    axes.set(xlabel=f"estimate − true {angle} (deg)", ylabel="sounds (%)", xlim=(edges[0], edges[-1]))
    axes.set_ylim(bottom=0)
    if frequency:
        upper = axes.secondary_xaxis(
            "top", functions=(lambda ipd: ipd / (360e-6 * frequency), lambda us: us * 360e-6 * frequency)
        )
        upper.set_xlabel("estimate − true ITD (µs)")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.2 if frequency else 1), ncols=3)
    return figure


@styled
def error_by_angle(
    angles: np.ndarray,
    errors: Mapping[str, np.ndarray],
    *,
    floor: float | None,
    limit: float,
    bound: float | None = None,
    angle: str = "IPD",
) -> Figure:
    """Mean absolute error over the true angle, for each observer by its name.

    floor   that of a perfect classifier, where the network is one; bound: that of the Cramér-Rao bound; degrees
    """
    figure, ((axes,),) = open_grid(1, 1, height=2.5)
    for (name, error), (colour, style) in zip(errors.items(), LINES, strict=False):
        axes.plot(angles, error, color=colour, ls=style, label=name)
    level(axes, floor, "a perfect classifier:")
    if bound is not None:
        axes.axhline(bound, color=GREY, ls=":", lw=1.2, label="Cramér–Rao bound")
    axes.set(xlabel=f"true {angle} (deg)", ylabel="mean absolute error (deg)", xlim=(-limit, limit))
    axes.set_ylim(bottom=0)
    angle_ticks(axes.xaxis, limit)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    return figure
