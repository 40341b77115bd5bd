"""The picture of cost against time steps and against spikes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw_cost"]

# Okabe and Ito's colours, told apart with any colour vision; markers differ too.
STYLES = {
    "fused": ("spikeloc, fused", "#0072B2", "o"),
    "drawing": ("spikeloc, drawing", "#56B4E9", "v"),
    "jax-sum": ("JAX lax.scan, jitted", "#E69F00", "s"),
    "spikingjelly": ("SpikingJelly", "#009E73", "^"),
    "snntorch": ("snnTorch", "#CC79A7", "D"),
    "norse": ("norse", "#999999", "P"),
    "sinabs": ("sinabs", "#D55E00", "X"),
    "seed": ("the seed's loop", "#000000", "*"),
}


def draw_cost(steps: list[dict[str, Any]], scaling: list[dict[str, Any]], path: Path) -> None:
    """Two panels, both axes logarithmic: against time steps at equal sounds, against spikes at equal time steps."""
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name in STYLES:
        line(left, name, points_of_steps(steps, scaling, name))
        line(right, name, [(row["spikes"], row["median"]) for row in scaling if of(row, "rate_max", name)])
    left.set(xlabel="time steps of a 100 ms sound", ylabel="time for 128 sounds (s)", xscale="log", yscale="log")
    left.set_title("a training step, the number of spikes held equal", loc="left", fontsize=9)
    right.set(xlabel="spikes of the fibres in 128 sounds", xscale="log")
    right.set_title("1000 time steps, the rate varied", loc="left", fontsize=9)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)


def of(row: dict[str, Any], axis: str, name: str) -> bool:
    """Whether a row of the scaling belongs to an axis and a contender."""
    return bool(row["axis"] == axis and row["contender"] == name)


def points_of_steps(steps: list[dict[str, Any]], scaling: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """Seconds against time steps at one hidden layer of 30."""
    if name in ("fused", "drawing"):
        return [(row["value"], row["median"]) for row in scaling if of(row, "steps", name)]
    return [
        (row["case"]["steps"], row["median"])
        for row in steps
        if row["contender"] == name and tuple(row["case"]["hidden"]) == (30,) and "median" in row
    ]


def line(axes: Axes, name: str, points: list[tuple[float, float]]) -> None:
    """One contender."""
    if points:
        label, colour, marker = STYLES[name]
        axes.plot(
            *zip(*sorted(points), strict=True), color=colour, marker=marker, label=label, markersize=5, linewidth=1.2
        )
