"""The likelihood of each ear's phase near its peak, where all of its mass lies.

With thousands of spikes nearly every phase is out of the question: away from its peak, L of
:mod:`spikeloc.observers.likelihood` falls by hundreds. So most of the circle is struck out by a bound, and L is summed
directly over the spikes where it is left.

The bound: put every bin, for m coarse points of spacing w, at the nearest point psi' to its psi, at most w away because
step and delay are rounded apart. For phases phi within w / 2 of the coarse point c,

    L(phi)  <=  U(c)  =  sum spikes(psi') (P - Q)(c + psi')  +  sum bins(psi') Q(c + psi')
    P(j)  =  max log p(theta),    Q(j)  =  max log(1 - p(theta))        over |theta - j| <= 3 w / 2

Phases with U(c) < L(phi_0) - DROP, where phi_0 is the middle of the greatest U, are exp(-DROP) times as likely as some
other at most. What is left is a window of some ten standard deviations. It is sound, not only likely: if the bound
leaves more than a window holds, or if its best phase is impossible, the window is empty, and another way must be taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy import fft

from spikeloc.compiled import kernel
from spikeloc.observers.coincidences import POINTS, Ears, hear
from spikeloc.observers.folding import FoldingGrid
from spikeloc.observers.likelihood import BinTables, EarLikelihood, bin_tables, ear_information
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["NearPeak", "Windows"]

DROP = 50.0  # exp(-50) = 2e-22: what the windows leave out is lost in rounding
FINENESS = 5  # points of a window to a standard deviation of one ear's phase, at least
ROOM = 384  # points of a window, at most
LEAST_POINTS = 2048  # a smaller grid is faster transformed as a whole
WORST = -800.0  # bound of the logarithm of a probability of 0, below that of the least positive number


@dataclass(frozen=True)
class Windows:
    """Likelihoods of phases ``(first + k) x spacing``, k = 0 ... size - 1, up to a factor for each sound and ear.

    likelihood   0 from ``size`` on                                          [batch, ears, ROOM]
    first        the first point of each window, on the circle of points     [batch, ears] int64
    size         0 where the likelihood is too wide for a window             [batch, ears] int64
    """

    likelihood: np.ndarray
    first: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class NearPeak:
    """Tables for the windows of a stimulus; ``points`` phases around the circle, ``coarse`` points of the bound.

    grid       of the spikes' phases psi, ``stride`` of its points to one of the windows'
    place      where in ``log_odds`` the phases of a spike at psi begin, phi = 0 first            [grid.points] int64
    log_odds   logit p at every stride-th theta, twice around, by theta mod stride                [stride x 2 points]
    silence    log-likelihood of no spike at all                                                  [2, points]
    bound      transform of P - Q                                                                 [coarse / 2 + 1]
    floor      sum of bins Q                                                                      [2, coarse]
    reach      windows lie within +-reach points of phase 0
    impossible a log-likelihood below this is that of an impossible phase
    """

    grid: FoldingGrid
    coarse: FoldingGrid
    points: int
    place: np.ndarray
    log_odds: np.ndarray
    silence: np.ndarray
    bound: np.ndarray
    floor: np.ndarray
    impossible: float

    @staticmethod
    def of(stimulus: ToneStimulus, likelihood: EarLikelihood) -> NearPeak | None:
        """The tables of a stimulus; None where windows do not help."""
        table = bin_tables(stimulus, likelihood.grid.points)
        information = ear_information(stimulus)
        # A probability that is 0 or 1 over a whole range of phases gives likelihoods with edges.
        if likelihood.grid.points < LEAST_POINTS or max(table.never.sum(), table.always.sum()) > 2:
            return None
        circle = 2 * math.pi * math.sqrt(information)  # in standard deviations
        stride = _stride(likelihood.grid.points, FINENESS * circle)
        points = likelihood.grid.points // stride
        contradiction = _above_any_sum(table, likelihood.grid)
        log_odds = table.log_spike - table.log_silence + contradiction * (table.always.astype(float) - table.never)
        psi = np.arange(likelihood.grid.points)
        coarse = FoldingGrid.of(stimulus, POINTS << max(0, math.ceil(math.log2(circle / POINTS))))
        spike, silence = (_bound(log, likelihood.grid.points, coarse.points) for log in _logs(table))
        return NearPeak(
            likelihood.grid,
            coarse,
            points,
            psi % stride * (2 * points) + psi // stride,
            np.tile(log_odds.reshape(points, stride).T, 2).ravel(),
            (likelihood.silence - contradiction * likelihood.contradictions)[:, ::stride].copy(),
            fft.rfft(spike - silence),
            fft.irfft(np.conj(fft.rfft(coarse.bins())) * fft.rfft(silence), coarse.points),
            -contradiction / 2,
        )
