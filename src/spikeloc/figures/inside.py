"""Pictures of a network's inside: weights, firing rates and output traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikeloc.figures.parts import (
    BAR,
    ESTIMATE,
    GREY,
    INK,
    LEGEND,
    NO_TITLE,
    PALE,
    TITLE,
    TRUE,
    WEIGHT,
    angle_ticks,
    colour_bar,
    degrees,
    draw_cells,
    label_outer,
    lines,
    name_ears,
    open_grid,
    open_panels,
    styled,
    whole_numbers,
)

__all__ = ["example_traces", "firing_rates", "weight_matrices"]


@styled
def weight_matrices(
    rows: Mapping[str, Sequence[np.ndarray]],
    *,
    fibres_per_ear: int,
    limit: float | None,
    label: str = WEIGHT,
    angle: str = "IPD",
) -> Figure:
    """Weight matrices [inputs, outputs] side by side, one row of panels for each title; inputs upwards.

    The first matrix of a row starts at the fibres. With ``limit``, output neurons are classes of angles within it.
    """
    n_columns = max(len(matrices) for matrices in rows.values())
    top = TITLE if any(rows) else NO_TITLE
    figure, grid = open_grid(len(rows), n_columns, height=2.8, gap=BAR + 0.7, right=BAR, top=top)
    for panels, (title, matrices) in zip(grid, rows.items(), strict=True):
        panels[0].set_title(title)
        for depth, (axes, weights) in enumerate(zip(panels, matrices, strict=True)):
            last = depth + 1 == len(matrices)
            _weights(axes, weights, limit if last else None, label)
            axes.set_ylabel(f"neuron of hidden layer {depth}" if depth else "fibre")
            outputs = "output neuron" if limit is None else f"output neuron's class: {angle} (deg)"
            axes.set_xlabel(outputs if last else f"neuron of hidden layer {depth + 1}")
        panels[0].axhline(fibres_per_ear - 0.5, color=INK, lw=0.8)
        name_ears(panels[:1])
    return figure


def _weights(axes: Axes, weights: np.ndarray, limit: float | None, label: str) -> None:
    """One matrix; a few weights, if any, lie beyond the ends of the colour scale."""
    n_in, n_out = weights.shape
    size = np.abs(weights)
    end = float(np.percentile(size, 99.5)) or float(size.max()) or 1.0
    left, right = (-0.5, n_out - 0.5) if limit is None else (-limit, limit)
    image = draw_cells(axes, weights, (left, right, -0.5, n_in - 0.5), cmap="PuOr_r", vmin=-end, vmax=end)
    colour_bar(image, axes, label, extend="both" if size.max() > end else "neither")
    axes.yaxis.set_major_locator(whole_numbers())
    if limit is None:
        axes.xaxis.set_major_locator(whole_numbers())
    else:
        angle_ticks(axes.xaxis, limit)


@styled
def firing_rates(angles: np.ndarray, layers: Mapping[str, np.ndarray], angle: str = "IPD") -> Figure:
    """Mean firing rates, for each spiking layer: their distribution, and how they depend on the angle.

    angles [A], evenly spaced over the whole range; layers: rates [A, H] in Hz by the layer's name, neurons in the
    order in which they are drawn.
    """
    figure, grid = open_grid(len(layers), 3, height=2.4, gap=0.7, right=BAR)
    limit = angles[-1] + (angles[-1] - angles[-2]) / 2
    for (left, middle, right), (name, rates) in zip(grid, layers.items(), strict=True):
        top, n = max(float(rates.max()), 1.0), rates.shape[1]
        left.hist(rates.mean(axis=0), bins=20, range=(0, top), color=GREY, rwidth=0.92)
        silent = int((rates.max(axis=0) == 0).sum())
        left.set(xlabel="mean rate (Hz)", ylabel="neurons", title=f"{name}: {silent} of {n} silent")
        left.yaxis.set_major_locator(whole_numbers())
        tuned = rates[:, np.ptp(rates, axis=0) > 0]
        lines(middle, angles, tuned, colors=mpl.colormaps["viridis"](np.linspace(0, 0.95, tuned.shape[1])), lw=1)
        middle.set(xlabel=f"{angle} (deg)", ylabel="rate (Hz)", xlim=(-limit, limit), ylim=(0, 1.05 * top))
        middle.set_title("tuning curves")
        image = draw_cells(right, rates.T, (-limit, limit, -0.5, n - 0.5), vmin=0, vmax=top)
        right.set(xlabel=f"{angle} (deg)", ylabel="neuron", title="in the order of tuning")
        right.yaxis.set_major_locator(whole_numbers())
        colour_bar(image, right, "rate (Hz)")
        for axes in (middle, right):
            angle_ticks(axes.xaxis, limit)
    return figure


@styled
def example_traces(
    angles: np.ndarray, estimates: np.ndarray, traces: np.ndarray, dt: float, *, limit: float | None
) -> Figure:
    """Output traces, one panel for each sound: angles and estimates [B], traces [B, T, K].

    With ``limit``, outputs are classes of angles within it; without, the one output is an angle in degrees.
    """
    figure, panels = open_panels(len(angles), columns=3, height=1.8, top=LEGEND)
    panels[0].xaxis.set_major_locator(ticker.MaxNLocator(4))
    time, n = 1e3 * dt * np.arange(1, traces.shape[1] + 1), traces.shape[2]
    for axes, angle, estimate, trace in zip(panels, angles, estimates, traces, strict=True):
        if limit is None:
            axes.axhline(angle, color=TRUE, lw=1.8, label="true angle")
            axes.plot(time, trace[:, 0], color=GREY, label="output")
            axes.axhline(estimate, color=ESTIMATE, ls="--", label="estimate")
        else:
            true, chosen = (min(n - 1, int((at + limit) / (2 * limit) * n)) for at in (angle, estimate))
            lines(axes, time, trace, colors=PALE, lw=0.8, label="all classes")
            axes.plot(time, trace[:, true], color=TRUE, lw=1.8, label="true class")
            axes.plot(time, trace[:, chosen], color=ESTIMATE, ls="--", label="chosen class")
        axes.set_title(f"true {degrees(angle, 1)}, estimate {degrees(estimate, 1)}")
        axes.margins(x=0)
    label_outer(panels, "time (ms)", "output (deg)" if limit is None else "output (score)")
    panels[min(2, len(panels) - 1)].legend(loc="lower right", bbox_to_anchor=(1, 1.12), ncols=3)
    return figure
