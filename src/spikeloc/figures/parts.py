"""What all pictures share: style, colours, layout, and panels of spikes, of cells and of lines."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Sequence
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
from matplotlib.image import AxesImage
from PIL import Image
from PIL.PngImagePlugin import PngInfo

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
LONG = 250  # time steps of which a raster can show each
P = ParamSpec("P")
STYLE: Any = mpl.rc_params_from_file(Path(__file__).with_name("style.mplstyle"), use_default_template=False)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the style of this package, and leave Matplotlib's own settings alone."""

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
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    vars(canvas.get_renderer()).clear()  # texts keep it, with all its pixels, for as long as the figure lives
    about = PngInfo()
    about.add_text("Software", "spikeloc")
    # Higher levels take several times longer and save a tenth.
    Image.fromarray(pixels).save(file, "png", dpi=(figure.dpi, figure.dpi), pnginfo=about, compress_level=3)
    return file.getvalue()


def open_grid(
    rows: int,
    columns: int,
    *,
    height: float,
    gap: float = 0.2,
    right: float = 0.35,
    top: float = TITLE,
    common: bool = False,
    widths: float = 3,
) -> tuple[Figure, np.ndarray]:
    """A figure with panels in rows and columns. Lengths: a panel's height, the gap beside it, the margins.

    ``widths`` is the number of panels that fill the width of a page. The layout is fixed: one that is computed from
    the labels would take longer than all the rest.
    """
    width = WIDTH * (0.62 if columns == 1 else 1.0 if common else max(1.0, columns / widths))
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


def open_panels(n: int, *, columns: int, height: float, top: float = TITLE) -> tuple[Figure, list[Axes]]:
    """A figure with n panels of common axes, in rows; panels that are not needed are left away."""
    columns = min(n, columns)
    figure, grid = open_grid(math.ceil(n / columns), columns, height=height, top=top, common=True)
    for axes in grid.ravel()[n:]:
        axes.set_visible(False)
    return figure, list(grid.ravel()[:n])


def label_outer(panels: Sequence[Axes], x: str, y: str) -> None:
    """Name the axes, at the rim of the figure only."""
    for axes in panels:
        axes.set(xlabel=x, ylabel=y)
        axes.label_outer()


def raster(axes: Axes, spikes: np.ndarray, colours: np.ndarray, dt: float) -> None:
    """Spikes [T, N] as marks on white, neurons upwards; colours one for each neuron, [N, 3]. The beginning, if long."""
    spikes = spikes[:LONG]
    n_steps, n = spikes.shape
    if not spikes.any():
        axes.text(0.5, 0.5, "no spikes", color=GREY, ha="center", va="center", transform=axes.transAxes)
    picture = np.where(spikes.T[:, :, None], colours[:, None, :], np.uint8(255))
    draw_cells(axes, picture, (0, 1e3 * dt * n_steps, -0.5, n - 0.5))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.yaxis.set_major_locator(whole_numbers())


def draw_cells(axes: Axes, cells: np.ndarray, extent: tuple[float, float, float, float], **style: Any) -> AxesImage:
    """A picture of rows and columns: sharp cells, or averages where there are more of them than fit."""
    interpolation = "nearest" if max(cells.shape[:2]) <= CRISP else "auto"
    return axes.imshow(cells, extent=extent, interpolation=interpolation, **style)


def rgb(colour: str) -> np.ndarray:
    """A colour as three bytes."""
    return np.round(255 * np.array(to_rgb(colour))).astype(np.uint8)


def degrees(angle: float, digits: int = 0) -> str:
    """An angle with its sign, as in +30°."""
    return f"{angle:+.{digits}f}°".replace("-", "\N{MINUS SIGN}")


def angle_ticks(axis: Axis, limit: float) -> None:
    """Marks at the middle, the ends and thirds of a range of angles."""
    figure: Any = axis.get_figure()
    width = axis.axes.get_position().width * figure.get_size_inches()[0]
    axis.set_major_formatter(lambda angle, _: f"{angle:.3g}".replace("-", "\N{MINUS SIGN}"))
    axis.set_major_locator(ticker.FixedLocator([k * limit / 3 for k in range(-3, 4, 1 if width > 1.9 else 3)]))


def whole_numbers() -> ticker.Locator:
    """A few marks, at whole numbers."""
    return ticker.MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def colour_bar(image: AxesImage, axes: Axes, label: str, **options: Any) -> None:
    """A colour bar in the margin on the right."""
    figure: Any = axes.get_figure()
    width = axes.get_position().width * figure.get_size_inches()[0]
    place = axes.inset_axes((1 + 0.22 / width, 0, 0.11 / width, 1))
    figure.colorbar(image, cax=place, label=label, **options).outline.set_visible(False)


def level(
    axes: Axes, value: float | None, name: str, colour: str = GREY, side: str = "right", below: bool = False
) -> None:
    """A horizontal line with its name on it, or below it, if there is a value."""
    if value is None:
        return
    axes.axhline(value, color=colour, ls=":" if colour == GREY else "-", lw=1.2)
    x = 0.99 if side == "right" else 0.01
    label = f"{name} " + f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
    place = "top" if below else "bottom"
    text = axes.text(x, value, label, color=colour, ha=side, va=place, fontsize=8, bbox=BEHIND)
    text.set_transform(axes.get_yaxis_transform())


def name_ears(panels: Sequence[Axes]) -> None:
    """Name the lower half of the fibres after the left ear, the upper after the right."""
    for axes in panels:
        for name, at, colour in (("left ear", 0.25, LEFT), ("right ear", 0.75, RIGHT)):
            axes.text(1.01, at, name, color=colour, transform=axes.transAxes, rotation=-90, va="center", fontsize=8)


def lines(axes: Axes, x: np.ndarray, lines: np.ndarray, **style: Any) -> None:
    """A line over x for each column."""
    axes.add_collection(LineCollection([np.column_stack([x, y]) for y in lines.T], **style))
    axes.autoscale_view()
