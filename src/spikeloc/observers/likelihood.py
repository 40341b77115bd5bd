"""How likely the spikes of each ear are, as a function of the tone's phase at that ear.

Spikes are drawn independently in every bin with probability p(theta), theta = phi + psi, so for one ear

    L(phi) = sum_bins  x log p(phi + psi) + (1 - x) log(1 - p(phi + psi))
           = sum_psi   bins(psi) log(1 - p(phi + psi))  +  sum_psi spikes(psi) logit p(phi + psi)

The first sum is the same for every sound. The second is a circular correlation of the folded spikes with a table of
log-odds: two Fourier transforms. Where p is exactly 0 or 1 (a rate that vanishes, a probability that is clipped) a
logarithm is infinite; such contradictions are counted apart, so that an impossible phase has L = -inf exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy import fft

from spikeloc.observers.folding import FoldingGrid, phase_grid
from spikeloc.stimuli import ToneStimulus

__all__ = ["BinTables", "EarLikelihood", "bin_tables", "ear_information", "ear_likelihood"]

FINENESS = 8  # grid points to a standard deviation of one ear's phase
MIN_POINTS = 1024
MAX_POINTS = 1 << 20


@dataclass(frozen=True)
class EarLikelihood:
    """Log-likelihoods of one ear's spikes on a grid of phases phi, evenly spaced from 0 over the circle.

    grid            the phases
    log_odds        transform of logit p, 0 where p is 0 or 1         [points / 2 + 1] complex
    silence         log-likelihood of no spike at all, finite part    [2, points]
    excess          transform of [p = 0] - [p = 1], or None if p is never exactly 0 or 1
    contradictions  how often silence contradicts p = 1               [2, points]
    """

    grid: FoldingGrid
    log_odds: np.ndarray
    silence: np.ndarray
    excess: np.ndarray | None
    contradictions: np.ndarray

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """L(phi) of folded spikes [batch, 2, points], same shape; -inf where impossible.

        Spikes that no phase makes possible are judged by the phases that contradict the fewest bins.
        """
        spectrum = np.conj(fft.rfft(counts))
        log_likelihood: np.ndarray = fft.irfft(spectrum * self.log_odds, self.grid.points)
        log_likelihood += self.silence
        if self.excess is not None:
            wrong = np.rint(fft.irfft(spectrum * self.excess, self.grid.points)) + self.contradictions
            log_likelihood[wrong > wrong.min(axis=2, keepdims=True)] = -np.inf
        return log_likelihood


def ear_likelihood(stimulus: ToneStimulus, points: int | None = None) -> EarLikelihood:
    """The tables of a stimulus, on a grid of at least so many points; by default as many as its information asks."""
    grid = phase_grid(stimulus, points or _points_needed(stimulus))
    table = bin_tables(stimulus, grid.points)
    bins = np.conj(fft.rfft(grid.bins()))
    certain = bool((table.never | table.always).any())
    return EarLikelihood(
        grid,
        fft.rfft(table.log_spike - table.log_silence),
        fft.irfft(bins * fft.rfft(table.log_silence), grid.points),
        fft.rfft(table.never.astype(np.float64) - table.always) if certain else None,
        np.rint(fft.irfft(bins * fft.rfft(table.always.astype(np.float64)), grid.points)),
    )


@dataclass(frozen=True)
class BinTables:
    """What one bin says at phases theta evenly spaced from 0, each [points].

    log_spike, log_silence   log p and log(1 - p); both 0 where p is 0 or 1
    never, always            where p is 0; where p is 1
    """

    log_spike: np.ndarray
    log_silence: np.ndarray
    never: np.ndarray
    always: np.ndarray


def bin_tables(stimulus: ToneStimulus, points: int) -> BinTables:
    """The tables of a stimulus's spike probability."""
    p = stimulus.rate_law.probability(2 * math.pi * np.arange(points) / points)
    never, always = p <= 0, p >= 1
    certain = never | always
    inside = np.where(certain, 0.5, p)
    log_spike, log_silence = (np.where(certain, 0.0, log) for log in (np.log(inside), np.log1p(-inside)))
    return BinTables(log_spike, log_silence, never, always)


def ear_information(stimulus: ToneStimulus) -> float:
    """Fisher information of one ear's spikes about its phase, averaged over phases, 1 / rad^2; finite by its grid."""
    p = stimulus.rate_law.probability(2 * math.pi * np.arange(MIN_POINTS) / MIN_POINTS)
    # Fisher information of a Bernoulli bin: p'^2 / (p (1 - p)) = 4 (d arcsin sqrt(p) / d theta)^2
    slope = np.diff(np.arcsin(np.sqrt(p)), append=np.arcsin(np.sqrt(p[:1]))) * MIN_POINTS / (2 * math.pi)
    return float(4 * np.mean(slope**2)) * stimulus.n_steps * stimulus.fibres_per_ear


def _points_needed(stimulus: ToneStimulus) -> int:
    """Grid points that resolve the likelihood: its standard deviation is 1 / sqrt(Fisher information)."""
    return int(np.clip(FINENESS * 2 * math.pi * math.sqrt(ear_information(stimulus)), MIN_POINTS, MAX_POINTS))
