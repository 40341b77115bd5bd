"""The ideal observer: the exact posterior over the angle, given the spikes as they are drawn.

With L_left and L_right the log-likelihoods of each ear's phase (:mod:`spikeloc.observers.likelihood`), u the phase at
the left ear, and the angle a uniform over the stimulus's range:

    phase known (`fixed`)             p(a | spikes)  ~  exp L_right(a)                                u = 0
    phase unknown (`per_sound`)       p(a | spikes)  ~  sum_u exp(L_left(u) + L_right(u + a))
    phase shared (`per_dataset`)      p(a_i | all)   ~  sum_u exp(L_left_i(u) + L_right_i(u + a_i)) prod_{j != i} M_j(u)
                                      M_j(u)          =  sum_a exp(L_left_j(u) + L_right_j(u + a))

The sum over u is a circular correlation, done by Fourier transform. No decoder of these spikes has a higher expected
accuracy than the class of the greatest posterior mass, nor a lower expected absolute error than the posterior median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy import fft
from torch import Tensor

from spikeloc.angles import class_of_angle, class_width
from spikeloc.compiled import kernel, over_sounds
from spikeloc.observers.coincidences import Ears
from spikeloc.observers.likelihood import EarLikelihood, ear_likelihood
from spikeloc.observers.near_peak import NearPeak
from spikeloc.observers.observer import parts_of, read_events, require_tone
from spikeloc.observers.posterior import Posterior, grid_of_range
from spikeloc.readout import Decision
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["IdealObserver", "Judgement"]

BLOCK = 1 << 18  # numbers in a table of one block of sounds: some tables of 2 MB are in memory for each thread
PARTS = 16  # partial sums of the shared phase's likelihood, so that it does not depend on the number of threads
RELIABLE = 1e-8  # a density this much below its peak is still exact after a Fourier transform
TOGETHER = 64  # sounds whose posteriors near their peaks are worked out together: their tables fit a core's cache
UNDERFLOW = -740.0  # exp of less is 0
STRIDE = 4  # of a direct sum over phases: the grid has 8 points to a standard deviation of a sound's own phase

Use = Callable[[np.ndarray, Posterior], None]  # takes the posteriors of sounds with these indices


@dataclass(frozen=True)
class Judgement:
    """What posteriors say about the true angles of sounds.

    below              probability of smaller angles; evenly spread over 0 to 1 if the posteriors are right   [batch]
    log_density        logarithm of the density at the true angle, per radian                                 [batch]
    log_class          logarithm of the probability of the true class                                         [batch]
    error              posterior mean less true angle, radians                                                [batch]

    The means of -log_density, -log_class and error^2 are the least that a decoder can lose on average.
    """

    below: np.ndarray
    log_density: np.ndarray
    log_class: np.ndarray
    error: np.ndarray

    @staticmethod
    def join(parts: Sequence[Judgement]) -> Judgement:
        """Judgements of several batches as one."""
        return Judgement(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("below", "log_density", "log_class", "error")
            )
        )


class IdealObserver:
    """The best that any decoder can do with a stimulus's spikes.

    stimulus    what the spikes were drawn from; its ``phase`` says what is known of the common phase
    n_classes   classes over the range of angles, for the class decision
    points      grid points over the circle, at least; by default 8 for each standard deviation of an ear's phase, of
                which decisions may skip some where the likelihood is smooth

    With ``phase = "per_dataset"`` the sounds handed over in one call share one unknown phase: the more sounds, the
    better it is known. Raises UserError if the number of classes is less than 1, or if the
    stimulus is not a tone.
    """

    def __init__(self, stimulus: ToneStimulus, n_classes: int, *, points: int | None = None) -> None:
        class_width(n_classes)
        require_tone(stimulus, "the ideal observer")
        self.stimulus = stimulus
        self.n_classes = n_classes
        self._points = points

    @cached_property
    def likelihood(self) -> EarLikelihood:
        """The log-likelihood of one ear's spikes as a function of that ear's phase; its tables are made once."""
        return ear_likelihood(self.stimulus, self._points)

    def decide(self, spikes: Tensor | SpikeEvents) -> Decision:
        """Posterior median, class of the greatest mass and posterior standard deviation. Raises UserError."""
        events = read_events(spikes, self.stimulus)
        angle, uncertainty = np.zeros(events.n_sounds), np.zeros(events.n_sounds)
        label = np.zeros(events.n_sounds, dtype=np.int64)

        def decide_some(sounds: np.ndarray, posterior: Posterior) -> None:
            angle[sounds] = posterior.median
            label[sounds] = posterior.class_mass(self.n_classes).argmax(axis=1)
            uncertainty[sounds] = posterior.sd

        self._each(events, decide_some)
        return Decision(torch.from_numpy(angle), torch.from_numpy(label), torch.from_numpy(uncertainty))

    def judge(self, spikes: Tensor | SpikeEvents, angle: Tensor) -> Judgement:
        """What the posteriors say about the true angles, radians [batch]. Raises UserError."""
        return self.decide_and_judge(spikes, angle)[1]

    def decide_and_judge(self, spikes: Tensor | SpikeEvents, angle: Tensor) -> tuple[Decision, Judgement]:
        """What :meth:`decide` and :meth:`judge` give, from one look at the spikes. Raises UserError."""
        events = read_events(spikes, self.stimulus)
        true, label = angle.double().numpy(), class_of_angle(angle, self.n_classes, self.stimulus.max_ipd).numpy()
        median, sd, below, density, mass, error = np.zeros((6, events.n_sounds))
        likeliest = np.zeros(events.n_sounds, dtype=np.int64)

        def judge_some(sounds: np.ndarray, posterior: Posterior) -> None:
            masses = posterior.class_mass(self.n_classes)
            median[sounds], sd[sounds], likeliest[sounds] = posterior.median, posterior.sd, masses.argmax(axis=1)
            below[sounds], density[sounds] = posterior.below(true[sounds]), posterior.density_at(true[sounds])
            mass[sounds] = masses[np.arange(len(sounds)), label[sounds]]
            error[sounds] = posterior.mean - true[sounds]

        self._each(events, judge_some)
        # No more certain than a double-precision number can say.
        density, mass = (np.maximum(each, np.finfo(float).tiny) for each in (density, mass))
        decision = Decision(torch.from_numpy(median), torch.from_numpy(likeliest), torch.from_numpy(sd))
        return decision, Judgement(below, np.log(density), np.log(mass), error)

    def localise(self, spikes: Tensor | SpikeEvents) -> Tensor:
        """Posterior medians in radians, [batch]; positive on the right."""
        return self.decide(spikes).angle

    def posterior(self, spikes: Tensor | SpikeEvents) -> Posterior:
        """The whole posterior of every sound; memory grows with sounds x grid points. Raises UserError."""
        events = read_events(spikes, self.stimulus)
        angle = self._range * self._spacing
        density = np.zeros((events.n_sounds, len(angle)))

        def keep_some(sounds: np.ndarray, posterior: Posterior) -> None:
            density[sounds] = posterior.density

        self._whole_circles(events, keep_some)
        return Posterior(angle, density, self.stimulus.max_ipd)

    @property
    def _spacing(self) -> float:
        return 2 * math.pi / self.likelihood.grid.points

    @property
    def _block(self) -> int:
        """Sounds in a block."""
        return max(1, BLOCK // (2 * self.likelihood.grid.points))

    @cached_property
    def _range(self) -> np.ndarray:
        """The grid's angles within the range and a little beyond, in grid points: [grid] int64."""
        return grid_of_range(self.stimulus.max_ipd, self._spacing)

    @cached_property
    def _near_peak(self) -> NearPeak | None:
        """A faster way to the same decisions, for many spikes; not for a shared phase, nor for points as asked for."""
        if self.stimulus.phase == "per_dataset" or self._points is not None:
            return None
        return NearPeak.of(self.stimulus, self.likelihood)

    def _each(self, events: SpikeEvents, use: Use) -> None:
        """Hand the posterior of every sound to ``use``, the fastest way."""
        if self._near_peak is None:
            self._whole_circles(events, use)
        else:
            self._near_peaks(self._near_peak, events, use)

    def _near_peaks(self, near_peak: NearPeak, events: SpikeEvents, use: Use) -> None:
        """As :meth:`_whole_circles`; the whole circle only for those sounds that need it."""
        before = 0
        for part in parts_of(events):
            ears = near_peak.hear(part)
            over_sounds(self._some_near_peaks, part.n_sounds, near_peak, part, ears, before, use, chunk=TOGETHER)
            before += part.n_sounds

    def _some_near_peaks(
        self, begin: int, end: int, near_peak: NearPeak, part: SpikeEvents, ears: Ears, before: int, use: Use
    ) -> None:
        for first in range(begin, end, TOGETHER):
            last = min(first + TOGETHER, end)
            held, posterior = near_peak.posterior(part.sounds(first, last), ears.part(first, last))
            if len(held) > 0:
                use(before + first + held, posterior)
            others = np.ones(last - first, dtype=np.bool_)
            others[held] = False
            for sound in (first + np.flatnonzero(others)).tolist():
                use(np.array([before + sound]), self._whole_circle(part.sounds(sound, sound + 1), None))

    def _whole_circles(self, events: SpikeEvents, use: Use) -> None:
        """Hand posteriors to ``use(sounds, posterior)``, some sounds at a time, on a few threads."""
        shared = self._shared_phase(events) if self.stimulus.phase == "per_dataset" else None

        def run(begin: int, end: int) -> None:
            for first in range(begin, end, self._block):
                last = min(first + self._block, end)
                use(np.arange(first, last), self._whole_circle(events.sounds(first, last), shared))

        over_sounds(run, events.n_sounds, chunk=self._block)

    def _whole_circle(self, events: SpikeEvents, shared: np.ndarray | None) -> Posterior:
        return Posterior(self._range * self._spacing, self._density(events, shared), self.stimulus.max_ipd)

    def _density(self, events: SpikeEvents, shared: np.ndarray | None) -> np.ndarray:
        """Densities at the grid's angles, up to a factor for each sound: [batch, grid]."""
        log_likelihood = self.likelihood(self.likelihood.grid.fold(events))
        left, right = log_likelihood[:, 0], log_likelihood[:, 1]
        if self.stimulus.phase == "fixed":
            in_range = right[:, self._range % self.likelihood.grid.points]
            return _exp(in_range, _peak(in_range))
        if shared is None:
            return _correlate(left, right, self._range, STRIDE)
        # All sounds' evidence about the phase, less this one's right ear: its angle is asked for next.
        return _correlate(shared - self._log_mass(right), right, self._range, 1)

    @cached_property
    def _window(self) -> np.ndarray:
        """Transform of a window over the range, whose ends count as much as of their cells lies inside."""
        points = self.likelihood.grid.points
        distance = np.minimum(np.arange(points), points - np.arange(points))
        window: np.ndarray = fft.rfft(np.clip(self.stimulus.max_ipd / self._spacing + 0.5 - distance, 0, 1))
        return window

    def _log_mass(self, right: np.ndarray) -> np.ndarray:
        """log sum_a exp L_right(u + a) over angles in the range, for every left phase u: [batch, points]."""
        peak = _peak(right)
        mass = fft.irfft(self._window * fft.rfft(_exp(right, peak)), self.likelihood.grid.points)
        log_mass: np.ndarray = peak + np.log(np.maximum(mass, np.finfo(float).eps))
        return log_mass

    def _shared_phase(self, events: SpikeEvents) -> np.ndarray:
        """log prod_j M_j(u) over all sounds, for every left phase u: [points]."""
        part = self._block * max(1, -(-events.n_sounds // (PARTS * self._block)))
        total = np.zeros((PARTS, self.likelihood.grid.points))

        def run(begin: int, end: int) -> None:
            for first in range(begin, end, self._block):
                block = events.sounds(first, min(first + self._block, end))
                log_likelihood = self.likelihood(self.likelihood.grid.fold(block))
                mass = log_likelihood[:, 0] + self._log_mass(log_likelihood[:, 1])
                total[first // part] += (mass - _peak(mass)).sum(axis=0)

        over_sounds(run, events.n_sounds, chunk=part)
        product: np.ndarray = total.sum(axis=0)
        return product


def _correlate(left: np.ndarray, right: np.ndarray, lags: np.ndarray, stride: int) -> np.ndarray:
    """sum_u exp(left(u) + right(u + a)) at lags a [k], up to a factor for each row: [batch, points] -> [batch, k].

    A direct sum, where one is needed, takes every stride-th u.
    """
    points = left.shape[1]
    left_spectrum = np.conj(fft.rfft(_exp(left, _peak(left))))
    circle = fft.irfft(left_spectrum * fft.rfft(_exp(right, _peak(right))), points)
    density: np.ndarray = np.maximum(circle[:, lags % points], 0)
    # Rounding in a transform is relative to the circle's peak. If that lies far outside the range, sum directly.
    for row in np.flatnonzero(density.max(axis=1) < RELIABLE * circle.max(axis=1)):
        log_density = np.empty(len(lags))
        _correlate_directly(left[row], right[row], lags, stride, log_density)
        density[row] = _exp(log_density[None], _peak(log_density[None]))
    return density


def _peak(log_likelihood: np.ndarray) -> np.ndarray:
    """Greatest value of each row, [batch, 1]; 0 for a row in which nothing is possible."""
    peak = log_likelihood.max(axis=-1, keepdims=True)
    return np.where(np.isfinite(peak), peak, 0)


def _exp(log_likelihood: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """exp(L - peak), same shape; all ones for a row in which nothing is possible: such spikes say nothing."""
    below = log_likelihood - peak
    likelihood = np.zeros_like(below)
    # Most phases are out of the question, and exp is dear.
    np.exp(below, out=likelihood, where=below > UNDERFLOW)
    likelihood[~likelihood.any(axis=-1)] = 1
    return likelihood


@kernel
def _correlate_directly(left: np.ndarray, right: np.ndarray, lags: np.ndarray, stride: int, out: np.ndarray) -> None:
    """log sum_u exp(left(u) + right(u + a)) over every stride-th u, scaled by its greatest term."""
    points = len(left)
    for k in range(len(lags)):
        peak = -np.inf
        for u in range(0, points, stride):
            peak = max(peak, left[u] + right[(u + lags[k]) % points])
        total = 0.0
        if peak > -np.inf:
            for u in range(0, points, stride):
                total += np.exp(left[u] + right[(u + lags[k]) % points] - peak)
        out[k] = peak + np.log(total) if total > 0 else -np.inf
