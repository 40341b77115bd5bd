"""Folding spikes at the tone's period: all that a spike says about a tone is the phase that passed before it.

A spike of fibre j in time step t is at the tone's phase ``theta = phi + psi`` with

    psi = t step_angle + delay_j          known
    phi = the ear's starting phase        left u, right u + IPD

so a sound is, for each ear, a count of spikes at every psi.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import wraps
from typing import TypeVar
from weakref import ref

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["FoldingGrid", "fibre_phasors", "phase_grid", "remembered"]

MAX_EXACT = 65_536  # points that an exact grid may need
MIN_ROUNDED = 16_384  # points of a grid that cannot be exact: phases then move by 0.02 deg at most

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class FoldingGrid:
    """Phases psi of one period, ``points`` of them evenly spaced from 0.

    step    point of the phase that passed before each time step   [time] int64
    delay   point of each fibre's delay, left ear first            [fibre] int64

    psi of a spike is at point ``(step + delay) mod points``.
    """

    points: int
    step: np.ndarray
    delay: np.ndarray

    @staticmethod
    def of(stimulus: ToneStimulus, points: int) -> FoldingGrid:
        """The grid of a stimulus, phases rounded to the nearest of some points."""
        unit = 2 * math.pi / points
        step = np.rint(np.arange(stimulus.n_steps) * (stimulus.step_angle / unit) % points)
        delay = np.rint(np.concatenate(stimulus.fibre_delays) / unit)
        return FoldingGrid(points, step.astype(np.int64) % points, delay.astype(np.int64) % points)

    def fold(self, events: SpikeEvents) -> np.ndarray:
        """Spikes at every psi, by ear (left, right): [batch, 2, points] float64."""
        counts = np.empty((events.n_sounds, 2, self.points))
        # Each ear counts to twice the points, and the second round is added to the first afterwards.
        place = self.delay.astype(np.uint64)
        place[len(place) // 2 :] += np.uint64(2 * self.points)
        _fold(events.n_sounds, self.step.astype(np.uint64), place, events.index, events.start, counts)
        return counts

    def bins(self) -> np.ndarray:
        """Bins at every psi, by ear: what :meth:`fold` gives if every fibre spikes in every bin. [2, points]."""
        half = len(self.delay) // 2
        psi = (self.step[:, None] + self.delay) % self.points
        return np.stack(
            [np.bincount(psi[:, ear].ravel(), minlength=self.points) for ear in (slice(half), slice(half, None))]
        ).astype(np.float64)


def phase_grid(stimulus: ToneStimulus, at_least: int) -> FoldingGrid:
    """A grid that holds every psi of the stimulus exactly, where one of some 65,536 points can; else rounded.

    The delays are multiples of 90 deg / (fibres - 1). The time steps are multiples of 360 deg / q if frequency x dt
    is a fraction p / q; then psi lies on the least common multiple of q and 4 (fibres - 1) points.
    """
    cycles = stimulus.frequency * stimulus.dt
    fraction = Fraction(cycles).limit_denominator(MAX_EXACT)
    exact = math.lcm(fraction.denominator, 4 * max(1, stimulus.fibres_per_ear - 1))
    if exact <= MAX_EXACT and abs(cycles - fraction) * stimulus.n_steps < 1e-9:
        return FoldingGrid.of(stimulus, exact * math.ceil(at_least / exact))
    return FoldingGrid.of(stimulus, 4 * _easily_transformed(math.ceil(max(at_least, MIN_ROUNDED) / 4)))


def remembered(
    function: Callable[[ToneStimulus, SpikeEvents], Answer],
) -> Callable[[ToneStimulus, SpikeEvents], Answer]:
    """Answer with the last result when asked about the same events again, as several observers do in turn."""
    last: list[tuple[ref[SpikeEvents], ToneStimulus, Answer]] = []

    @wraps(function)
    def answer(stimulus: ToneStimulus, events: SpikeEvents) -> Answer:
        for known, of_stimulus, result in last[:]:  # a copy: another thread may ask about other events
            if known() is events and of_stimulus is stimulus:
                return result
        result = function(stimulus, events)
        last[:] = [(ref(events, lambda _: last.clear()), stimulus, result)]
        return result

    return answer


@remembered
def fibre_phasors(stimulus: ToneStimulus, events: SpikeEvents) -> np.ndarray:
    """z = sum exp(-i t step_angle) over each fibre's spikes: [batch, fibre] complex.

    Its argument is, up to a constant, the phase of the tone at that fibre; its size is the fibre's synchrony.
    """
    time = np.exp(-1j * stimulus.step_angle * np.arange(stimulus.n_steps))
    phasors = np.zeros((events.n_sounds, events.n_neurons), dtype=np.complex128)
    _phasors(events.n_sounds, time, events.index, events.start, phasors)
    return phasors


def _easily_transformed(at_least: int) -> int:
    """The next number without prime factors above 5: Fourier transforms of such a length are fast."""
    points = at_least
    while True:
        rest = points
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return points
        points += 1


@kernel
def _fold(
    n_sounds: int, step: np.ndarray, place: np.ndarray, index: np.ndarray, start: np.ndarray, counts: np.ndarray
) -> None:
    n_steps, points = len(step), counts.shape[2]
    rounds = np.zeros(4 * points, dtype=np.int32)
    for sound in range(n_sounds):
        for time in range(n_steps):
            row = sound * n_steps + time
            passed = step[time]
            for event in range(start[row], start[row + 1]):
                rounds[passed + place[index[event]]] += 1
        for ear in range(2):
            for psi in range(points):
                here = 2 * ear * points + psi
                counts[sound, ear, psi] = rounds[here] + rounds[here + points]
        rounds[:] = 0


@kernel
def _phasors(n_sounds: int, time: np.ndarray, index: np.ndarray, start: np.ndarray, phasors: np.ndarray) -> None:
    n_steps = len(time)
    for sound in range(n_sounds):
        for row in range(n_steps):
            for event in range(start[sound * n_steps + row], start[sound * n_steps + row + 1]):
                phasors[sound, index[event]] += time[row]
