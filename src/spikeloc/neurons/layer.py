"""What a layer of neurons gives back, whichever engine computed it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["LayerOutput"]


@dataclass(frozen=True)
class LayerOutput:
    """What was asked of a layer: B sounds, T time steps, H neurons, K weightings of time.

    sums       spikes summed over time, for each weighting    K of B H
    spikes     0 or 1, as numbers; in bins, their number      B T H, or B bins H
    membrane   membrane potential before the reset            B T H
    """

    sums: tuple[Tensor, ...]
    spikes: Tensor | None
    membrane: Tensor | None
