"""Pictures of training: loss and accuracy over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikeloc.figures.parts import INK, TRAINING, TRUE, VALIDATION, level, open_grid, styled

__all__ = ["loss_curve"]


@styled
def loss_curve(
    history: Sequence[Mapping[str, float]],
    *,
    expected: float | None = None,
    chance: float | None = None,
    accuracy: float | None = None,
    ceiling: float | None = None,
    least_loss: float | None = None,
    silent: str = "says nothing: ln(classes)",
) -> Figure:
    """Loss over epochs, beside those of a network that says nothing (expected) and of the ideal observer (least_loss);
    and validation accuracy where there is one, beside that of guesses, of the network on test sounds, and of the ideal
    observer (ceiling).

    silent   name of the expected loss
    """
    scored = "validation_accuracy" in history[0]
    figure, grid = open_grid(1, 2 if scored else 1, height=2.6, gap=0.8)
    panels = grid[0]
    epochs = [row["epoch"] for row in history]
    panels[0].plot(epochs, [row["loss"] for row in history], "o-", ms=3, color=TRAINING, label="training")
    if "validation_loss" in history[0]:
        losses = [row["validation_loss"] for row in history]
        panels[0].plot(epochs, losses, "s--", ms=3, color=VALIDATION, label="validation")
        best = int(np.argmin(losses))
        panels[0].plot(epochs[best], losses[best], "o", ms=9, mfc="none", color=INK, label="weights kept")
    level(panels[0], expected, silent)
    level(panels[0], least_loss, "ideal observer", INK, "left", below=True)  # no loss lies there to be hidden
    panels[0].margins(y=0.12)
    _leave_out_first_losses(panels[0], [row["loss"] for row in history], expected)
    if scored:
        shares = [100 * row["validation_accuracy"] for row in history]
        panels[1].plot(epochs, shares, "s--", ms=3, color=VALIDATION, label="validation")
        level(panels[1], None if chance is None else 100 * chance, "chance")
        level(panels[1], None if ceiling is None else 100 * ceiling, "ideal observer", INK)
        level(panels[1], None if accuracy is None else 100 * accuracy, "test", TRUE, "left")
        panels[1].set_ylim(0, 104)
    for axes, label in zip(panels, ("loss", "accuracy (%)"), strict=False):
        axes.set(xlabel="epoch", ylabel=label)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _leave_out_first_losses(axes: Axes, losses: Sequence[float], expected: float | None) -> None:
    """End the axis above what a network that says nothing loses, if early losses are far beyond: they say little."""
    if expected is None:
        return
    low, high = axes.get_ylim()
    top = expected + 0.25 * (expected - min(expected, *losses))
    if high - low > 2 * (top - low):
        axes.set_ylim(low + (high - low) * 0.12 - 0.25 * (top - low), top)
