"""Posteriors over the angle from the likelihoods near their peaks, where all of their mass lies.

With thousands of spikes nearly every phase is out of the question: away from its peak, the log-likelihood L of
:mod:`spikeloc.observers.likelihood` falls by hundreds. So a bound strikes out most of the circle, and L is summed
directly over the spikes where it is left: a window of a dozen standard deviations to each side.

The bound: put every bin at the nearest of some coarse points, a distance w apart. Step and delay are rounded one by
one, so that psi moves by w at most. For phases phi within w / 2 of the coarse point c,

    L(phi)  <=  U(c)  =  sum_psi spikes(psi) (P - Q)(c + psi)  +  sum_psi bins(psi) Q(c + psi)
    P(j)  =  max log p(theta),    Q(j)  =  max log(1 - p(theta))        over |theta - j| <= 3 w / 2

Phases with U(c) < L(phi_0) - DROP, where phi_0 is the phase of the greatest U, are exp(-DROP) times as likely as some
other at most: nothing that matters is left out. Where the bound leaves more than a window holds, where phi_0 is
impossible, or where the angles in the range are far less likely than others, there is no posterior from here, and the
whole circle must be looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy import fft

from spikeloc.observers.coincidences import POINTS, Ears, hear
from spikeloc.observers.folding import FoldingGrid
from spikeloc.observers.kernels_near_peak import correlate, windows
from spikeloc.observers.likelihood import BinTables, EarLikelihood, bin_tables, ear_information
from spikeloc.observers.posterior import Posterior, grid_of_range
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["NearPeak"]

FINENESS = 4  # phases to a standard deviation of one ear's phase, at least
ROOM = 384  # phases in a window, at most
LEAST_CIRCLE = 64  # standard deviations around the circle: where there are less, a window is most of it
LEAST_POINTS = 2048  # a smaller circle is looked at as a whole at less expense
IMPOSSIBLE = -800.0  # stands for log 0 in the bound: the logarithm of the least positive number is -745
AROUND = 2  # grid points to each side that a cubic through the outermost ones needs


@dataclass(frozen=True)
class NearPeak:
    """Tables for a stimulus's sounds; ``points`` phases around the circle.

    grid         of the spikes' phases psi; each ``grid.points / points``-th of its points is a phase phi
    place        where the log-odds of a spike at psi begin, phi = 0 first; twice around [2 x grid.points] int64
    log_odds     logit p at theta of equal remainder, three times around                 [3 x grid.points]
    silence      log-likelihood of no spike at all, twice around                         [2, 2 x points]
    impossible   below this log-likelihood some bin is contradicted
    coarse       grid of the bound, a power of two of points
    slope        transform of P - Q                                                      [coarse.points / 2 + 1]
    level        sum of bins Q                                                           [2, coarse.points]
    """

    stimulus: ToneStimulus
    grid: FoldingGrid
    points: int
    place: np.ndarray
    log_odds: np.ndarray
    silence: np.ndarray
    impossible: float
    coarse: FoldingGrid
    slope: np.ndarray
    level: np.ndarray

    @staticmethod
    def of(stimulus: ToneStimulus, likelihood: EarLikelihood) -> NearPeak | None:
        """The tables of a stimulus; None where windows would not help."""
        grid, table = likelihood.grid, bin_tables(stimulus, likelihood.grid.points)
        circle = 2 * math.pi * math.sqrt(ear_information(stimulus))  # in standard deviations
        # Where p is 0 or 1 over a range of phases, likelihoods have edges instead of peaks.
        edges = max(table.never.sum(), table.always.sum()) > 2
        if edges or circle < LEAST_CIRCLE or grid.points < max(LEAST_POINTS, FINENESS * circle):
            return None
        stride = max(k for k in range(1, int(grid.points / (FINENESS * circle)) + 1) if grid.points % k == 0)
        points, psi = grid.points // stride, np.arange(grid.points)
        coarse = FoldingGrid.of(stimulus, POINTS << max(0, math.ceil(math.log2(circle / POINTS))))
        spike, silence = (_greatest_near(log, coarse.points) for log in _with_impossible(table))
        contradiction = _beyond_any_sum(table, grid)
        log_odds = table.log_spike - table.log_silence + contradiction * (table.always * 1.0 - table.never)
        return NearPeak(
            stimulus,
            grid,
            points,
            np.tile(psi % stride * (3 * points) + psi // stride, 2),
            np.tile(log_odds.reshape(points, stride).T, 3).ravel(),
            np.tile((likelihood.silence - contradiction * likelihood.contradictions)[:, ::stride], 2),
            -contradiction / 2,
            coarse,
            fft.rfft(spike - silence),
            fft.irfft(np.conj(fft.rfft(coarse.bins())) * fft.rfft(silence), coarse.points),
        )

    @property
    def spacing(self) -> float:
        """Distance of the phases, and of the angles, in radians."""
        return 2 * math.pi / self.points

    def hear(self, events: SpikeEvents) -> Ears:
        """The ears on the coarse grid."""
        if self.coarse.points == POINTS:  # others hear these sounds on the same grid
            return hear(self.stimulus, events)
        spectra = fft.rfft(self.coarse.fold(events))
        return Ears(spectra[:, 0], spectra[:, 1])

    def upper(self, ears: Ears) -> np.ndarray:
        """U at every coarse point: [batch, 1 or 2 ears, coarse.points]."""
        seen = [ears.right] if self._left_is_known else [ears.left, ears.right]
        upper = np.empty((len(ears.right), len(seen), self.coarse.points))
        for ear, spectrum in enumerate(seen):
            fft.irfft(np.conj(spectrum) * self.slope, self.coarse.points, out=upper[:, ear])
        upper += self.level[-len(seen) :]
        return upper

    def posterior(self, events: SpikeEvents, ears: Ears) -> tuple[np.ndarray, Posterior]:
        """The sounds that have a posterior from here, [k] int64, and those posteriors."""
        end = int(grid_of_range(self.stimulus.max_ipd, self.spacing)[-1])
        density, first, size = self._densities(events, self.upper(ears), end)
        # Where the range is most of the circle, a window at one of its ends has a part at the other.
        around = (first + size > self.points - end) | (first + self.points <= end)
        held = np.flatnonzero((size > 0) & ~around)
        width = int(size[held].max(initial=1))
        angle = (first[held, None] + np.arange(-AROUND, width + AROUND)) * self.spacing
        padded = np.zeros(angle.shape)
        padded[:, AROUND:-AROUND] = density[held, :width]
        return held, Posterior(angle, padded, self.stimulus.max_ipd)

    @property
    def _left_is_known(self) -> bool:
        return self.stimulus.phase == "fixed"

    def _densities(self, events: SpikeEvents, upper: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Densities of the angles first x spacing and on, [batch, ...]; the first of each sound, and their number."""
        circle = self.points // 2
        likelihood = np.zeros((*upper.shape[:2], ROOM))
        first, size = np.zeros((2, *upper.shape[:2]), dtype=np.int64)
        windows(
            self.grid.step, self.grid.delay, events.index, events.start, self.place, self.log_odds, self.silence,
            self.impossible, upper, min(end, circle) if self._left_is_known else circle, likelihood, first, size,
        )  # fmt: skip
        if self._left_is_known:
            return likelihood[:, 0], first[:, 0], size[:, 0]
        density = np.zeros((len(upper), 2 * ROOM))
        correlate(likelihood, first, size, self.points, self.stimulus.max_ipd / self.spacing, density)
        return density, first[:, 0], size[:, 0]


def _beyond_any_sum(table: BinTables, grid: FoldingGrid) -> float:
    """A power of two that the finite part of no log-likelihood comes near: it counts contradictions."""
    greatest = max(np.abs(table.log_spike).max(), np.abs(table.log_silence).max(), 1.0)
    return 2.0 ** math.ceil(math.log2(4 * greatest * len(grid.step) * len(grid.delay)))


def _with_impossible(table: BinTables) -> tuple[np.ndarray, np.ndarray]:
    """log p and log(1 - p), each [points]."""
    return np.where(table.never, IMPOSSIBLE, table.log_spike), np.where(table.always, IMPOSSIBLE, table.log_silence)


def _greatest_near(values: np.ndarray, coarse: int) -> np.ndarray:
    """The greatest of values [points] within 3/2 of a coarse spacing, and a point's rounding, of each coarse point."""
    ratio = len(values) / coarse
    begin = np.floor(np.arange(coarse) * ratio - 1.5 * ratio - 1).astype(np.int64)
    greatest: np.ndarray = values[(begin[:, None] + np.arange(math.ceil(3 * ratio) + 4)) % len(values)].max(axis=1)
    return greatest
