"""Pictures of what a network answers, and of how far off it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from spikeloc.figures.parts import (
    BAR,
    ESTIMATE,
    GREY,
    INK,
    NO_TITLE,
    PALE,
    angle_ticks,
    colour_bar,
    draw_cells,
    level,
    open_grid,
    styled,
)

__all__ = ["confusion_matrix", "error_by_angle", "histograms"]


@styled
def histograms(confusion: np.ndarray, limit: float) -> Figure:
    """How often each class is true and how often it is the estimate; counts, rows estimated, columns true."""
    figure, ((axes,),) = open_grid(1, 1, height=2.5, top=NO_TITLE)
    edges = np.linspace(-limit, limit, len(confusion) + 1)
    axes.stairs(confusion.sum(axis=0), edges, fill=True, color=PALE, label="true")
    axes.stairs(confusion.sum(axis=1), edges, baseline=None, lw=1.6, color=ESTIMATE, label="estimated")
    axes.set(xlabel="IPD (deg)", ylabel="sounds", xlim=(-limit, limit))
    axes.margins(y=0.18)
    angle_ticks(axes.xaxis, limit)
    axes.legend(ncols=2, loc="upper right")
    return figure


@styled
def confusion_matrix(confusion: np.ndarray, limit: float) -> Figure:
    """What the network says (rows) for each true class (columns), as a share of the sounds of that class."""
    figure, ((axes,),) = open_grid(1, 1, height=3.93, right=BAR, top=NO_TITLE)
    counts = np.asarray(confusion, dtype=float)
    total = counts.sum(axis=0, keepdims=True)
    share = np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    axes.set_facecolor(PALE)  # a class of which there was no sound
    image = draw_cells(axes, share, (-limit, limit, -limit, limit), vmin=0, vmax=100)
    axes.set(xlabel="true IPD (deg)", ylabel="estimated IPD (deg)")
    angle_ticks(axes.xaxis, limit)
    angle_ticks(axes.yaxis, limit)
    colour_bar(image, axes, "sounds of the true class (%)")
    return figure


@styled
def error_by_angle(angles: np.ndarray, errors: Mapping[str, np.ndarray], *, floor: float, limit: float) -> Figure:
    """Mean absolute error over the true angle, for each observer by its name, above that of a perfect classifier."""
    figure, ((axes,),) = open_grid(1, 1, height=2.5)
    for (name, error), colour, style in zip(errors.items(), (ESTIMATE, INK, GREY), ("-", "--", "-."), strict=False):
        axes.plot(angles, error, color=colour, ls=style, label=name)
    level(axes, floor, "a perfect classifier:")
    axes.set(xlabel="true IPD (deg)", ylabel="mean absolute error (deg)", xlim=(-limit, limit))
    axes.set_ylim(bottom=0)
    angle_ticks(axes.xaxis, limit)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    return figure
