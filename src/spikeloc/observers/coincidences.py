"""Coincidences between the ears, as a function of the delay between them.

Every fibre's spikes are put at their phase psi of the tone's period (:mod:`spikeloc.observers.folding`). A detector
with best delay b counts pairs of spikes, one of each ear, whose phases differ by b within its window:

    N(b) = sum over pairs of window(psi_left - psi_right - b)

The right ear of a sound from angle a leads by a, so that N peaks at b = a whatever the common phase. A tone repeats:
coincidences whole periods apart count as well. All sums are circular correlations, done by Fourier transform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy import fft

from spikeloc.observers.folding import FoldingGrid, remembered
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = [
    "POINTS",
    "SPACING",
    "Ears",
    "box",
    "coincidences",
    "gaussian",
    "hear",
    "peak",
]

POINTS = 1024  # best delays around the circle
SPACING = 2 * math.pi / POINTS  # between them: 0.35 deg
EQUAL = 1e-9  # relative difference that a transform's rounding may put between equal counts


@dataclass(frozen=True)
class Ears:
    """Transforms of the folded spikes of each ear, each [batch, POINTS / 2 + 1] complex."""

    left: np.ndarray
    right: np.ndarray

    def part(self, first: int, last: int) -> Ears:
        """The sounds ``first`` to ``last`` (excluded)."""
        return Ears(self.left[first:last], self.right[first:last])

    @cached_property
    def product(self) -> np.ndarray:
        """Transform of the number of pairs of spikes at every difference of phases: [batch, POINTS / 2 + 1]."""
        product: np.ndarray = self.left * self.right.conj()
        return product


@remembered
def hear(stimulus: ToneStimulus, events: SpikeEvents) -> Ears:
    """What each ear says of a stimulus's sounds."""
    spectra = fft.rfft(FoldingGrid.of(stimulus, POINTS).fold(events))
    return Ears(spectra[:, 0], spectra[:, 1])


def coincidences(ears: Ears, window: np.ndarray) -> np.ndarray:
    """N at best delays evenly spaced from 0 over the circle: [batch, POINTS].

    The window is a transform, from :func:`box` or :func:`gaussian`.
    """
    counts: np.ndarray = fft.irfft(ears.product * window, POINTS)
    return counts


def peak(curve: np.ndarray, limit: float, *, between: bool = False) -> np.ndarray:
    """Best delay within +-limit with the greatest value, radians [batch], of curves [batch, POINTS].

    Of equal ones the middle: straight ahead for a curve that says nothing. ``between`` refines it by the parabola
    through the greatest value and its two neighbours.
    """
    reach = int(limit / SPACING)
    inside = np.concatenate([curve[:, POINTS - reach :], curve[:, : reach + 1]], axis=1)
    greatest = inside.max(axis=1, keepdims=True)
    equal = inside >= greatest - EQUAL * np.abs(greatest)
    best = equal.argmax(axis=1) - reach
    for undecided in np.flatnonzero(equal.sum(axis=1) > 1):
        ties = np.flatnonzero(equal[undecided])
        best[undecided] = ties[len(ties) // 2] - reach
    if not between:
        return best * SPACING
    row = np.arange(len(curve))
    before, here, after = (curve[row, (best + side) % POINTS] for side in (-1, 0, 1))
    bend = 2 * here - before - after
    # At an end of the range the greatest value may not be a peak.
    shift = np.where(bend > 0, (after - before) / np.where(bend > 0, 2 * bend, 1), 0)
    angle: np.ndarray = (best + np.clip(shift, -0.5, 0.5)) * SPACING
    return angle


def box(width: float) -> np.ndarray:
    """Transform of a window that is 1 within +-width / 2 radians: [POINTS / 2 + 1] float64."""
    return _transform(np.clip(width / 2 / SPACING + 0.5 - _distance(), 0, 1))


def gaussian(sd: float) -> np.ndarray:
    """Transform of a Gaussian window of a standard deviation in radians: [POINTS / 2 + 1] float64."""
    return _transform(np.exp(-0.5 * (_distance() * SPACING / sd) ** 2))


def _distance() -> np.ndarray:
    points = np.arange(POINTS)
    return np.minimum(points, POINTS - points)


def _transform(window: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(fft.rfft(window).real)  # an even window has a real transform
