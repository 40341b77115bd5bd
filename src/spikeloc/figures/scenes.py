"""Pictures of scenes: what reaches the ears, what the auditory nerve makes of it, and answers beside true azimuths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spikeloc.figures.parts import (
    ESTIMATE,
    GREY,
    INK,
    LEFT,
    LEGEND,
    RIGHT,
    angle_ticks,
    degrees,
    draw_cells,
    name_ears,
    open_grid,
    styled,
)

__all__ = ["estimates", "scene_sounds"]

CLOSE_UP = 8e-3  # seconds
BIN = 2e-3  # seconds of spikes that are counted together
SHOWN = (0.2, 0.5, 1, 2, 5)  # kHz
DARK = 99.5  # percentile of the counts that is drawn black


@styled
def scene_sounds(
    angles: np.ndarray,
    ears: np.ndarray,
    spikes: np.ndarray,
    *,
    sample_rate: float,
    dt: float,
    frequencies: np.ndarray,
) -> Figure:
    """What reaches the ears, whole and close up, and the spikes of the fibres, one column for each sound.

    The close-up is about the loudest moment. Spikes are counted over the fibres of a channel, in steps of 2 ms; darker
    is more. The left ear's channels are below, the right ear's above, low frequencies first in each.

    angles        true azimuths, degrees                          [B]
    ears          sound pressure at the eardrums, pascal          [B, 2, samples]
    spikes        boolean                                         [B, T, fibres]
    frequencies   of the cochlea's channels, Hz                   [channels]
    """
    figure, grid = open_grid(3, len(angles), height=1.25, gap=0.42, widths=4, top=LEGEND)
    figure.subplots_adjust(hspace=0.25)
    time = 1e3 * np.arange(ears.shape[2]) / sample_rate
    for (whole, close, below), pressures, cells, angle in zip(grid.T, ears, spikes, angles, strict=True):
        _pressures(whole, time, pressures)
        whole.set_title(f"true azimuth = {degrees(angle)}")
        loudest, half = time[np.abs(pressures).max(axis=0).argmax()], 1e3 * CLOSE_UP / 2
        middle = np.clip(loudest, min(half, time[-1] / 2), max(time[-1] - half, time[-1] / 2))
        seen = np.abs(time - middle) <= half
        _pressures(close, time[seen], pressures[:, seen])
        _channels(below, cells, dt, frequencies / 1e3)
        below.set_xlabel("time (ms)")
    for axes in grid[:2, 0]:
        axes.set_ylabel("pressure (mPa)")
    grid[2, 0].set_ylabel("channel (kHz)")
    for axes in grid[2, 1:]:
        axes.set_yticklabels([])
    name_ears([grid[2, -1]])
    lines = [Line2D([], [], color=colour) for colour in (LEFT, RIGHT)]
    figure.legend(lines, ["left ear", "right ear"], loc="upper right", ncols=2)
    return figure


def _pressures(axes: Axes, time: np.ndarray, ears: np.ndarray) -> None:
    """Sound pressures [2, n] in pascal over time in milliseconds, the louder ear behind."""
    order = (0, 1) if np.square(ears[0]).sum() > np.square(ears[1]).sum() else (1, 0)
    for level, ear in enumerate(order):
        axes.plot(time, 1e3 * ears[ear], color=(LEFT, RIGHT)[ear], lw=0.8, zorder=2 + level)
    axes.set_xlim(time[0], time[-1])


def _channels(axes: Axes, spikes: np.ndarray, dt: float, frequencies: np.ndarray) -> None:
    """Spikes [T, fibres], counted by channel and step of 2 ms; frequencies of the channels in kHz."""
    channels = len(frequencies)
    per_bin = max(1, round(BIN / dt))
    n = len(spikes) // per_bin * per_bin or len(spikes)
    per_bin = min(per_bin, n)
    counts = spikes[:n].reshape(n // per_bin, per_bin, 2 * channels, -1).sum(axis=(1, 3))
    draw_cells(
        axes,
        counts.T,
        (0, 1e3 * n * dt, -0.5, 2 * channels - 0.5),
        cmap="Greys",
        vmin=0,
        vmax=np.percentile(counts, DARK) or 1,
    )
    axes.axhline(channels - 0.5, color=INK, lw=0.8)
    shown = [f for f in SHOWN if frequencies[0] * 0.99 <= f <= frequencies[-1] * 1.01]
    places = np.interp(shown, frequencies, np.arange(channels)) if channels > 1 else np.zeros(len(shown))
    axes.set_yticks([*places, *(places + channels)], 2 * [f"{f:g}" for f in shown])


@styled
def estimates(angles: np.ndarray, answers: Mapping[str, np.ndarray], limit: float) -> Figure:
    """What observers answer for each true azimuth, a point for each sound, one panel for each observer; degrees."""
    figure, grid = open_grid(1, len(answers), height=2.5, gap=0.55, right=0.2)
    for axes, (name, answer) in zip(grid[0], answers.items(), strict=True):
        axes.plot([-limit, limit], [-limit, limit], color=GREY, ls=":", lw=1.2)
        axes.plot(angles, answer, ".", ms=3, alpha=0.5, color=ESTIMATE if axes is grid[0, 0] else INK, mew=0)
        axes.set(xlabel="true azimuth (deg)", title=name, xlim=(-limit, limit), ylim=(-1.03 * limit, 1.03 * limit))
        angle_ticks(axes.xaxis, limit)
        angle_ticks(axes.yaxis, limit)
    grid[0, 0].set_ylabel("estimated azimuth (deg)")
    return figure
