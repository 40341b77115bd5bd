"""Pictures of spikes: those of the fibres, and those of the hidden neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from spikeloc.figures.parts import (
    INK,
    LAYERS,
    LEFT,
    RIGHT,
    degrees,
    label_outer,
    name_ears,
    open_panels,
    raster,
    rgb,
    styled,
)

__all__ = ["hidden_rasters", "spike_trains"]


@styled
def spike_trains(angles: np.ndarray, spikes: np.ndarray, dt: float) -> Figure:
    """Spike trains of the fibres of both ears, one panel for each sound. The seed's first picture, of eight sounds.

    angles [B] are true IPDs; spikes boolean [B, T, N], the left ear's fibres first
    """
    ear = spikes.shape[2] // 2
    figure, panels = open_panels(len(angles), columns=4, height=1.7)
    for axes, shown, angle in zip(panels, spikes, angles, strict=True):
        colours = np.where(np.arange(2 * ear)[:, None] < ear, rgb(LEFT), rgb(RIGHT))
        raster(axes, shown, colours, dt)
        axes.set_title(f"true IPD = {degrees(angle)}")
        axes.axhline(ear - 0.5, color=INK, lw=0.8)
    name_ears(panels[3::4] or panels[-1:])
    label_outer(panels, "time (ms)", "fibre")
    return figure


@styled
def hidden_rasters(angles: np.ndarray, layers: Sequence[np.ndarray], dt: float, kind: str = "IPD") -> Figure:
    """Spikes of the hidden neurons, one panel for each sound: angles [B], layers of boolean [B, T, H], first below.

    kind   what kind of angle it is
    """
    figure, panels = open_panels(len(angles), columns=3, height=2.0)
    sizes = [layer.shape[2] for layer in layers]
    colours = np.concatenate([np.tile(rgb(LAYERS[k % len(LAYERS)]), (n, 1)) for k, n in enumerate(sizes)])
    for k, (axes, angle) in enumerate(zip(panels, angles, strict=True)):
        raster(axes, np.concatenate([layer[k] for layer in layers], axis=1), colours, dt)
        for border in np.cumsum(sizes)[:-1]:
            axes.axhline(border - 0.5, color=INK, lw=0.7)
        axes.set_title(f"true {kind} = {degrees(angle)}")
    label_outer(panels, "time (ms)", "hidden neuron")
    return figure
