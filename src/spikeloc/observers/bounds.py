"""Bounds: how precise any unbiased decoder of a stimulus's spikes can be, and the scores that follow.

One bin with spike probability p(theta) has Fisher information about theta

    j = p'^2 / (p (1 - p))     a Bernoulli bin, as drawn
    j = p'^2 / p               its Poisson limit, bins short beside the rates

and the bins of an ear are independent: J(phi) = sum over time steps and fibres of j(phi + psi). Averaged over phases,
J = time steps x fibres x <j>. With x = (1 + sin theta) / 2, p = P x^k, P = rate_max dt, and x'^2 = x (1 - x):

    j dtheta = k^2 P x^(k-1) (1 - x) / (1 - P x^k)
    m_k = <x^k>      = Gamma(k + 1/2) / (sqrt(pi) Gamma(k + 1)),   binomial(2k, k) / 4^k for whole k
    Poisson      <j> = P k^2 (m_{k-1} - m_k) = P k m_{k-1} / 2;    P / 2 for powers 1 and 2;    infinite for k <= 1/2
    Bernoulli    <j> = k^2 - k sum_w sqrt(1 - w P^(1/k)),          w the k-th roots of one, whole k, P <= 1
                     = 1 - sqrt(1 - P) for power 1,  4 - 2 sqrt(1 - sqrt P) - 2 sqrt(1 + sqrt P) for power 2

The last line: 1 - P x^k = prod_w (1 - w q x) with q = P^(1/k), so in partial fractions x^(k-1) (1 - x) / (1 - P x^k) =
(1 - (1/k) sum_w (1 - w q) / (1 - w q x)) / P, and <1 / (1 - c x)> = 1 / sqrt(1 - c).

The angle is the right ear's phase less the left's, u, which n sounds may share. With the blocks of the Fisher
information (n J_left + n J_right for u, J_right for each angle and between them) Schur's complement gives

    var(angle) >= 1 / J_right + 1 / (n J_left)      n = 1: unknown phase,  n = infinity: known phase

Where p is clipped at 1, or k <= 1/2, p has an edge there and <j> is infinite: the error then falls faster than any
square root, and the Cramer-Rao bound, 0, says nothing. Sources: Cramer (1946); Siebert, Kybernetik 8 (1970), for
auditory-nerve spikes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from spikeloc.angles import class_width
from spikeloc.errors import UserError
from spikeloc.observers.folding import phase_grid
from spikeloc.observers.observer import require_tone
from spikeloc.stimuli import ToneStimulus

__all__ = ["Bounds", "Process", "bounds", "closed_form_information", "gaussian_accuracy", "phase_information"]

Process = Literal["bernoulli", "poisson"]

PHASES = 64  # over which a bound is averaged
DIFFERENCE = 2e-4  # radians; for the derivative of the spike probability


@dataclass(frozen=True)
class Bounds:
    """What no unbiased decoder surpasses, and what one that meets the bound with Gaussian errors would score.

    sd                    standard deviation of the angle, radians; inf if the spikes say nothing about it
    mean_absolute_error   sd sqrt(2 / pi), radians
    accuracy              fraction of right classes
    """

    sd: float
    mean_absolute_error: float
    accuracy: float


def bounds(stimulus: ToneStimulus, n_classes: int, *, process: Process = "bernoulli", n_sharing: int = 1) -> Bounds:
    """The bounds of a stimulus: mean squares over its angles and phases, by what its ``phase`` says is known.

    n_sharing   sounds that share the unknown phase, where ``phase = "per_dataset"``

    Raises UserError unless there is at least one class and one sound, and the stimulus is a tone.
    """
    require_tone(stimulus, "the Cramér-Rao bound")
    width = class_width(n_classes, stimulus.max_ipd)
    if n_sharing < 1:
        raise UserError(f"{n_sharing} sounds share a phase; it must be at least 1")
    variance = _ear_variance(stimulus, process)
    if stimulus.phase != "fixed":
        variance += variance / (n_sharing if stimulus.phase == "per_dataset" else 1)
    sd = math.sqrt(variance)
    return Bounds(sd, sd * math.sqrt(2 / math.pi), gaussian_accuracy(sd, width, n_classes))


@lru_cache(maxsize=16)
def _ear_variance(stimulus: ToneStimulus, process: Process) -> float:
    """Mean of 1 / J of one ear, over all phases, or over the range of angles where the other ear's phase is known."""
    around = 2 * math.pi * (np.arange(PHASES) + 0.5) / PHASES
    phase = stimulus.max_ipd * (around / math.pi - 1) if stimulus.phase == "fixed" else around
    return _mean_inverse(phase_information(stimulus, phase, process=process))


def phase_information(stimulus: ToneStimulus, phase: np.ndarray, *, process: Process = "bernoulli") -> np.ndarray:
    """J(phi): Fisher information of one ear's spikes about that ear's phase, 1 / rad^2, at phases [n] in radians."""
    if not _regular(stimulus):
        return np.full(len(phase), math.inf)
    grid = phase_grid(stimulus, 1)
    bins = grid.bins()[0]  # both ears have the same delays, in one order or the other
    psi = np.flatnonzero(bins)
    theta = 2 * math.pi * psi / grid.points
    return np.array([bins[psi] @ _bin_information(stimulus, phi + theta, process) for phi in phase])


def closed_form_information(stimulus: ToneStimulus, *, process: Process = "bernoulli") -> float:
    """J of one ear averaged over phases, 1 / rad^2, from the formulas above; NaN where none is known.

    Known for ``rate = "bin_start"``: Poisson for every power, Bernoulli for whole powers.
    """
    k, peak = stimulus.envelope_power, stimulus.rate_max * stimulus.dt
    if stimulus.rate != "bin_start" or (process == "bernoulli" and k != round(k)):
        return math.nan
    if k == 0:
        return 0.0
    if not _regular(stimulus):
        return math.inf
    if process == "poisson":
        per_bin = peak * k / 2 * math.exp(math.lgamma(k - 0.5) - math.lgamma(k)) / math.sqrt(math.pi)
    else:
        roots = np.exp(2j * math.pi * np.arange(round(k)) / k)
        per_bin = k**2 - k * float(np.sqrt(1 - roots * peak ** (1 / k)).sum().real)
    return float(per_bin) * stimulus.n_steps * stimulus.fibres_per_ear


def gaussian_accuracy(sd: float, width: float, n_classes: int) -> float:
    """Fraction of right classes when estimates are Gaussian about angles spread evenly over the range.

    With z = width / sd, Q the normal tail and f the normal density, an estimate crosses a class's edge with probability
    (1/z) int_0^z Q(x) dx = Q(z) + (f(0) - f(z)) / z; all but the range's two ends are edges between two classes:

        accuracy = 1 - 2 (1 - 1 / classes) (Q(z) + (f(0) - f(z)) / z)        1 / classes as sd grows without limit
    """
    if sd == 0 or n_classes == 1:
        return 1.0
    z = width / sd
    tail = math.erfc(z / math.sqrt(2)) / 2
    lost = 0.5 if z < 1e-8 else tail + (1 - math.exp(-z * z / 2)) / (math.sqrt(2 * math.pi) * z)
    return 1 - 2 * (1 - 1 / n_classes) * lost


def _regular(stimulus: ToneStimulus) -> bool:
    """Whether <j> is finite: p has no edge at 1 nor at 0."""
    edge_at_zero = stimulus.rate == "bin_start" and 0 < stimulus.envelope_power <= 0.5
    clipped = stimulus.envelope_power > 0 and stimulus.rate_law.peak_probability > 1 + 1e-9
    return not (edge_at_zero or clipped) or stimulus.rate_max == 0


def _bin_information(stimulus: ToneStimulus, theta: np.ndarray, process: Process) -> np.ndarray:
    """j at phases theta [n]: four times the squared slope of arcsin sqrt p, or in the Poisson limit of sqrt p."""
    here, before, after = (
        np.sqrt(stimulus.rate_law.probability(theta + shift)) for shift in (0, -DIFFERENCE, DIFFERENCE)
    )
    if process == "bernoulli":
        here, before, after = np.arcsin(here), np.arcsin(before), np.arcsin(after)
    # Where p touches 0 or 1 the slope changes its sign, not its size: square the two sides before averaging them.
    information: np.ndarray = 2 * ((here - before) ** 2 + (after - here) ** 2) / DIFFERENCE**2
    return information


def _mean_inverse(information: np.ndarray) -> float:
    """Mean of 1 / J, inf where J is 0."""
    return math.inf if information.min() <= 1e-12 else float(np.mean(1 / information))
