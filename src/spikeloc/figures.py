"""Pictures. Each function takes plain numbers and returns a figure; :func:`save` makes a PNG of it.

Angles are in degrees, positive on the right; everything else is in SI units. Colours can be told apart by
colour-blind readers (Okabe and Ito 2008; viridis; PuOr).
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, imsave

from spikeloc.stimuli import Sounds, ToneStimulus

__all__ = [
    "Figure",
    "confusion_matrix",
    "error_by_angle",
    "example_traces",
    "firing_rates",
    "hidden_rasters",
    "histograms",
    "loss_curve",
    "save",
    "spike_trains",
    "weight_matrices",
]

WIDTH = 9.0  # inches, as all lengths here
LEFT_MARGIN, BOTTOM_MARGIN = 0.7, 0.5
NO_TITLE, TITLE, LEGEND = 0.15, 0.35, 0.6  # room above the panels
BAR = 0.95  # room for a colour bar and its labels
INK, GREY, PALE = "#262626", "#8c8c8c", "#d9d9d9"
LEFT, RIGHT = "#0072b2", "#d55e00"
TRUE, ESTIMATE = "#009e73", "#cc79a7"
TRAINING, VALIDATION = "#0072b2", "#e69f00"
LAYERS = (INK, "#56b4e9")  # of hidden spikes, in turn
WEIGHT = "weight (threshold = 1)"
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0}  # a text that may meet lines
CRISP = 200  # rows or columns that a panel can show one by one
P = ParamSpec("P")
STYLE: Any = mpl.rc_params_from_file(Path(__file__).with_suffix(".mplstyle"), use_default_template=False)


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def save(figure: Figure) -> bytes:
    """The figure as a PNG; the same figure always gives the same bytes."""
    file = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    with mpl.rc_context(STYLE):
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    imsave(file, pixels, format="png", dpi=figure.dpi, metadata={"Software": "spikeloc"})
    return file.getvalue()


@_styled
def spike_trains(sounds: Sounds, stimulus: ToneStimulus) -> Figure:
    """Spike trains of the fibres of both ears, one panel for each sound. The seed's first picture, of eight sounds."""
    ear = stimulus.fibres_per_ear
    figure, panels = _panels(len(sounds), columns=4, height=1.7)
    for axes, spikes, angle in zip(panels, sounds.spikes.numpy(), np.rad2deg(sounds.angle.numpy()), strict=True):
        colours = np.where(np.arange(2 * ear)[:, None] < ear, _rgb(LEFT), _rgb(RIGHT))
        _raster(axes, spikes, colours, stimulus.dt)
        axes.set_title(f"true IPD = {_degrees(angle)}")
        axes.axhline(ear - 0.5, color=INK, lw=0.8)
    _name_ears(panels[3::4] or panels[-1:])
    _label_outer(panels, "time (ms)", "fibre")
    return figure


@_styled
def loss_curve(
    history: Sequence[Mapping[str, float]],
    *,
    expected: float | None = None,
    chance: float | None = None,
    accuracy: float | None = None,
    ceiling: float | None = None,
) -> Figure:
    """Loss over epochs, beside that of a network that says nothing (expected); and validation accuracy where there is
    one, beside that of guesses, of the network on test sounds, and of the ideal observer (ceiling).
    """
    scored = "validation_accuracy" in history[0]
    figure, grid = _grid(1, 2 if scored else 1, height=2.6, gap=0.8)
    panels = grid[0]
    epochs = [row["epoch"] for row in history]
    panels[0].plot(epochs, [row["loss"] for row in history], "o-", ms=3, color=TRAINING, label="training")
    if "validation_loss" in history[0]:
        losses = [row["validation_loss"] for row in history]
        panels[0].plot(epochs, losses, "s--", ms=3, color=VALIDATION, label="validation")
        best = int(np.argmin(losses))
        panels[0].plot(epochs[best], losses[best], "o", ms=9, mfc="none", color=INK, label="weights kept")
    _level(panels[0], expected, "says nothing: ln(classes)")
    panels[0].margins(y=0.12)
    if scored:
        shares = [100 * row["validation_accuracy"] for row in history]
        panels[1].plot(epochs, shares, "s--", ms=3, color=VALIDATION, label="validation")
        _level(panels[1], None if chance is None else 100 * chance, "chance")
        _level(panels[1], None if ceiling is None else 100 * ceiling, "ideal observer")
        _level(panels[1], None if accuracy is None else 100 * accuracy, "test", TRUE, "left")
        panels[1].set_ylim(0, 104)
    for axes, label in zip(panels, ("loss", "accuracy (%)"), strict=False):
        axes.set(xlabel="epoch", ylabel=label)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
    return figure


@_styled
def histograms(confusion: np.ndarray, limit: float) -> Figure:
    """How often each class is true and how often it is the estimate; counts, rows estimated, columns true."""
    figure, ((axes,),) = _grid(1, 1, height=2.5, top=NO_TITLE)
    edges = np.linspace(-limit, limit, len(confusion) + 1)
    axes.stairs(confusion.sum(axis=0), edges, fill=True, color=PALE, label="true")
    axes.stairs(confusion.sum(axis=1), edges, baseline=None, lw=1.6, color=ESTIMATE, label="estimated")
    axes.set(xlabel="IPD (deg)", ylabel="sounds", xlim=(-limit, limit))
    axes.margins(y=0.18)
    _angle_ticks(axes.xaxis, limit)
    axes.legend(ncols=2, loc="upper right")
    return figure


@_styled
def confusion_matrix(confusion: np.ndarray, limit: float) -> Figure:
    """What the network says (rows) for each true class (columns), as a share of the sounds of that class."""
    figure, ((axes,),) = _grid(1, 1, height=3.93, right=BAR, top=NO_TITLE)
    counts = np.asarray(confusion, dtype=float)
    total = counts.sum(axis=0, keepdims=True)
    share = np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    axes.set_facecolor(PALE)  # a class of which there was no sound
    image = _draw_cells(axes, share, (-limit, limit, -limit, limit), vmin=0, vmax=100)
    axes.set(xlabel="true IPD (deg)", ylabel="estimated IPD (deg)")
    _angle_ticks(axes.xaxis, limit)
    _angle_ticks(axes.yaxis, limit)
    _colour_bar(image, axes, "sounds of the true class (%)")
    return figure


@_styled
def error_by_angle(angles: np.ndarray, errors: Mapping[str, np.ndarray], *, floor: float, limit: float) -> Figure:
    """Mean absolute error over the true angle, for each observer by its name, above that of a perfect classifier."""
    figure, ((axes,),) = _grid(1, 1, height=2.5)
    for (name, error), colour, style in zip(errors.items(), (ESTIMATE, INK, GREY), ("-", "--", "-."), strict=False):
        axes.plot(angles, error, color=colour, ls=style, label=name)
    _level(axes, floor, "a perfect classifier:")
    axes.set(xlabel="true IPD (deg)", ylabel="mean absolute error (deg)", xlim=(-limit, limit))
    axes.set_ylim(bottom=0)
    _angle_ticks(axes.xaxis, limit)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    return figure


@_styled
def weight_matrices(
    rows: Mapping[str, Sequence[np.ndarray]], *, fibres_per_ear: int, limit: float | None, label: str = WEIGHT
) -> Figure:
    """Weight matrices [inputs, outputs] side by side, one row of panels for each title; inputs upwards.

    The first matrix of a row starts at the fibres. With ``limit``, output neurons are classes of angles within it.
    """
    n_columns = max(len(matrices) for matrices in rows.values())
    top = TITLE if any(rows) else NO_TITLE
    figure, grid = _grid(len(rows), n_columns, height=2.8, gap=BAR + 0.7, right=BAR, top=top)
    for panels, (title, matrices) in zip(grid, rows.items(), strict=True):
        panels[0].set_title(title)
        for depth, (axes, weights) in enumerate(zip(panels, matrices, strict=True)):
            last = depth + 1 == len(matrices)
            _weights(axes, weights, limit if last else None, label)
            axes.set_ylabel(f"neuron of hidden layer {depth}" if depth else "fibre")
            outputs = "output neuron" if limit is None else "output neuron's class: IPD (deg)"
            axes.set_xlabel(outputs if last else f"neuron of hidden layer {depth + 1}")
        panels[0].axhline(fibres_per_ear - 0.5, color=INK, lw=0.8)
        _name_ears(panels[:1])
    return figure


def _weights(axes: Axes, weights: np.ndarray, limit: float | None, label: str) -> None:
    """One matrix; a few weights, if any, lie beyond the ends of the colour scale."""
    n_in, n_out = weights.shape
    size = np.abs(weights)
    end = float(np.percentile(size, 99.5)) or float(size.max()) or 1.0
    left, right = (-0.5, n_out - 0.5) if limit is None else (-limit, limit)
    image = _draw_cells(axes, weights, (left, right, -0.5, n_in - 0.5), cmap="PuOr_r", vmin=-end, vmax=end)
    _colour_bar(image, axes, label, extend="both" if size.max() > end else "neither")
    axes.yaxis.set_major_locator(_whole_numbers())
    if limit is None:
        axes.xaxis.set_major_locator(_whole_numbers())
    else:
        _angle_ticks(axes.xaxis, limit)


def _name_ears(panels: Sequence[Axes]) -> None:
    for axes in panels:
        for name, at, colour in (("left ear", 0.25, LEFT), ("right ear", 0.75, RIGHT)):
            axes.text(1.01, at, name, color=colour, transform=axes.transAxes, rotation=-90, va="center", fontsize=8)


@_styled
def hidden_rasters(angles: np.ndarray, layers: Sequence[np.ndarray], dt: float) -> Figure:
    """Spikes of the hidden neurons, one panel for each sound: angles [B], layers of boolean [B, T, H], first below."""
    figure, panels = _panels(len(angles), columns=3, height=2.0)
    sizes = [layer.shape[2] for layer in layers]
    colours = np.concatenate([np.tile(_rgb(LAYERS[k % len(LAYERS)]), (n, 1)) for k, n in enumerate(sizes)])
    for k, (axes, angle) in enumerate(zip(panels, angles, strict=True)):
        _raster(axes, np.concatenate([layer[k] for layer in layers], axis=1), colours, dt)
        for border in np.cumsum(sizes)[:-1]:
            axes.axhline(border - 0.5, color=INK, lw=0.7)
        axes.set_title(f"true IPD = {_degrees(angle)}")
    _label_outer(panels, "time (ms)", "hidden neuron")
    return figure


@_styled
def firing_rates(angles: np.ndarray, layers: Mapping[str, np.ndarray]) -> Figure:
    """Mean firing rates, for each spiking layer: their distribution, and how they depend on the angle.

    angles [A], evenly spaced over the whole range; layers: rates [A, H] in Hz by the layer's name, neurons in the
    order in which they are drawn.
    """
    figure, grid = _grid(len(layers), 3, height=2.4, gap=0.7, right=BAR)
    limit = angles[-1] + (angles[-1] - angles[-2]) / 2
    for (left, middle, right), (name, rates) in zip(grid, layers.items(), strict=True):
        top, n = max(float(rates.max()), 1.0), rates.shape[1]
        left.hist(rates.mean(axis=0), bins=20, range=(0, top), color=GREY, rwidth=0.92)
        silent = int((rates.max(axis=0) == 0).sum())
        left.set(xlabel="mean rate (Hz)", ylabel="neurons", title=f"{name}: {silent} of {n} silent")
        left.yaxis.set_major_locator(_whole_numbers())
        tuned = rates[:, np.ptp(rates, axis=0) > 0]
        _lines(middle, angles, tuned, colors=mpl.colormaps["viridis"](np.linspace(0, 0.95, tuned.shape[1])), lw=1)
        middle.set(xlabel="IPD (deg)", ylabel="rate (Hz)", xlim=(-limit, limit), ylim=(0, 1.05 * top))
        middle.set_title("tuning curves")
        image = _draw_cells(right, rates.T, (-limit, limit, -0.5, n - 0.5), vmin=0, vmax=top)
        right.set(xlabel="IPD (deg)", ylabel="neuron", title="in the order of tuning")
        right.yaxis.set_major_locator(_whole_numbers())
        _colour_bar(image, right, "rate (Hz)")
        for axes in (middle, right):
            _angle_ticks(axes.xaxis, limit)
    return figure


@_styled
def example_traces(
    angles: np.ndarray, estimates: np.ndarray, traces: np.ndarray, dt: float, *, limit: float | None
) -> Figure:
    """Output traces, one panel for each sound: angles and estimates [B], traces [B, T, K].

    With ``limit``, outputs are classes of angles within it; without, the one output is an angle in degrees.
    """
    figure, panels = _panels(len(angles), columns=3, height=1.8, top=LEGEND)
    panels[0].xaxis.set_major_locator(ticker.MaxNLocator(4))
    time, n = 1e3 * dt * np.arange(1, traces.shape[1] + 1), traces.shape[2]
    for axes, angle, estimate, trace in zip(panels, angles, estimates, traces, strict=True):
        if limit is None:
            axes.axhline(angle, color=TRUE, lw=1.8, label="true angle")
            axes.plot(time, trace[:, 0], color=GREY, label="output")
            axes.axhline(estimate, color=ESTIMATE, ls="--", label="estimate")
        else:
            true, chosen = (min(n - 1, int((at + limit) / (2 * limit) * n)) for at in (angle, estimate))
            _lines(axes, time, trace, colors=PALE, lw=0.8, label="all classes")
            axes.plot(time, trace[:, true], color=TRUE, lw=1.8, label="true class")
            axes.plot(time, trace[:, chosen], color=ESTIMATE, ls="--", label="chosen class")
        axes.set_title(f"true {_degrees(angle, 1)}, estimate {_degrees(estimate, 1)}")
        axes.margins(x=0)
    _label_outer(panels, "time (ms)", "output (deg)" if limit is None else "output (score)")
    panels[min(2, len(panels) - 1)].legend(loc="lower right", bbox_to_anchor=(1, 1.12), ncols=3)
    return figure


def _lines(axes: Axes, x: np.ndarray, lines: np.ndarray, **style: Any) -> None:
    """A line over x for each column."""
    axes.add_collection(LineCollection([np.column_stack([x, y]) for y in lines.T], **style))
    axes.autoscale_view()


# ------------------------------------------------------------------------------------------------------------- parts


def _grid(
    rows: int,
    columns: int,
    *,
    height: float,
    gap: float = 0.2,
    right: float = 0.35,
    top: float = TITLE,
    common: bool = False,
) -> tuple[Figure, np.ndarray]:
    """A figure with panels in rows and columns. Lengths: a panel's height, the gap beside it, the margins.

    The layout is fixed: one that is computed from the labels would take longer than all the rest.
    """
    width = WIDTH * (0.62 if columns == 1 else 1.0 if common else max(1.0, columns / 3))
    across = (width - LEFT_MARGIN - right - (columns - 1) * gap) / columns
    between = 0.35 if common else 0.8
    total = top + rows * height + (rows - 1) * between + BOTTOM_MARGIN
    figure = Figure(figsize=(width, total))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=LEFT_MARGIN / width,
        right=1 - right / width,
        bottom=BOTTOM_MARGIN / total,
        top=1 - top / total,
        wspace=gap / across,
        hspace=between / height,
    )
    return figure, figure.subplots(rows, columns, sharex=common, sharey=common, squeeze=False)


def _panels(n: int, *, columns: int, height: float, top: float = TITLE) -> tuple[Figure, list[Axes]]:
    """A figure with n panels of common axes, in rows; panels that are not needed are left away."""
    columns = min(n, columns)
    figure, grid = _grid(math.ceil(n / columns), columns, height=height, top=top, common=True)
    for axes in grid.ravel()[n:]:
        axes.set_visible(False)
    return figure, list(grid.ravel()[:n])


def _label_outer(panels: Sequence[Axes], x: str, y: str) -> None:
    for axes in panels:
        axes.set(xlabel=x, ylabel=y)
        axes.label_outer()


def _raster(axes: Axes, spikes: np.ndarray, colours: np.ndarray, dt: float) -> None:
    """Spikes [T, N] as marks on white, neurons upwards; colours one for each neuron, [N, 3]."""
    n_steps, n = spikes.shape
    if not spikes.any():
        axes.text(0.5, 0.5, "no spikes", color=GREY, ha="center", va="center", transform=axes.transAxes)
    picture = np.where(spikes.T[:, :, None], colours[:, None, :], np.uint8(255))
    _draw_cells(axes, picture, (0, 1e3 * dt * n_steps, -0.5, n - 0.5))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.yaxis.set_major_locator(_whole_numbers())


def _draw_cells(axes: Axes, cells: np.ndarray, extent: tuple[float, float, float, float], **style: Any) -> AxesImage:
    """A picture of rows and columns: sharp cells, or averages where there are more of them than fit."""
    interpolation = "nearest" if max(cells.shape[:2]) <= CRISP else "auto"
    return axes.imshow(cells, extent=extent, interpolation=interpolation, **style)


def _rgb(colour: str) -> np.ndarray:
    return np.round(255 * np.array(to_rgb(colour))).astype(np.uint8)


def _degrees(angle: float, digits: int = 0) -> str:
    return f"{angle:+.{digits}f}°".replace("-", "\N{MINUS SIGN}")


def _angle_ticks(axis: Axis, limit: float) -> None:
    figure: Any = axis.get_figure()
    width = axis.axes.get_position().width * figure.get_size_inches()[0]
    axis.set_major_formatter(lambda angle, _: f"{angle:.3g}".replace("-", "\N{MINUS SIGN}"))
    axis.set_major_locator(ticker.FixedLocator([k * limit / 3 for k in range(-3, 4, 1 if width > 1.9 else 3)]))


def _whole_numbers() -> ticker.Locator:
    return ticker.MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def _colour_bar(image: AxesImage, axes: Axes, label: str, **options: Any) -> None:
    figure: Any = axes.get_figure()
    width = axes.get_position().width * figure.get_size_inches()[0]
    place = axes.inset_axes((1 + 0.22 / width, 0, 0.11 / width, 1))
    figure.colorbar(image, cax=place, label=label, **options).outline.set_visible(False)


def _level(axes: Axes, value: float | None, name: str, colour: str = GREY, side: str = "right") -> None:
    """A horizontal line with its name on it, if there is a value."""
    if value is None:
        return
    axes.axhline(value, color=colour, ls=":" if colour == GREY else "-", lw=1.2)
    x = 0.99 if side == "right" else 0.01
    text = axes.text(x, value, f"{name} {value:.3g}", color=colour, ha=side, va="bottom", fontsize=8, bbox=BEHIND)
    text.set_transform(axes.get_yaxis_transform())
