"""Fitting: observers with parameters take them from the stream "training", all from one hearing of its sounds.

An observer says what it must know of every sound (:meth:`FittedObserver.learn`), a few numbers; only those are kept, so
that memory does not grow with spikes x sounds, and what several observers need is worked out once for all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from spikeloc.compiled import over_sounds
from spikeloc.errors import UserError
from spikeloc.observers.coincidences import Ears, hear
from spikeloc.observers.observer import CHUNK, TRAINING_SOUNDS, AngleObserver
from spikeloc.stimuli import ToneStimulus

__all__ = ["ENOUGH_TO_TUNE", "FittedObserver", "fit_together", "least_error"]

ENOUGH_TO_TUNE = 1024  # sounds: candidates that these cannot tell apart are equally good


class FittedObserver(AngleObserver):
    """An observer whose parameters are fitted on training sounds: on the first ``enough`` of them, or on all."""

    enough: ClassVar[int | None] = None

    @staticmethod
    @abstractmethod
    def learn(stimulus: ToneStimulus, ears: Ears) -> np.ndarray:
        """What fitting must know of each sound: [batch, ...]."""

    @classmethod
    @abstractmethod
    def fit_to(cls, stimulus: ToneStimulus, n_classes: int, learned: np.ndarray, angle: np.ndarray) -> Self:
        """Fit to what was learned of all training sounds [sounds, ...] and to their angles, radians [sounds]."""

    @classmethod
    def fit(cls, stimulus: ToneStimulus, n_classes: int, *, seed: int, n_sounds: int = TRAINING_SOUNDS) -> Self:
        """Fit on sounds of the stream "training". Raises UserError unless n_sounds >= 1."""
        (learned,), angle = _learn_together([cls], stimulus, seed, n_sounds)
        return cls.fit_to(stimulus, n_classes, learned, angle[: len(learned)])


def fit_together(
    kinds: Sequence[type[FittedObserver]], stimulus: ToneStimulus, n_classes: int, seed: int, n_sounds: int
) -> list[FittedObserver]:
    """Observers of these kinds, fitted on the same training sounds. Raises UserError unless n_sounds >= 1."""
    learned, angle = _learn_together(kinds, stimulus, seed, n_sounds)
    pairs = zip(kinds, learned, strict=True)
    return [kind.fit_to(stimulus, n_classes, own, angle[: len(own)]) for kind, own in pairs]


def least_error(candidates: Sequence[float], estimates: np.ndarray, angle: np.ndarray) -> float:
    """The candidate with the least mean absolute error of estimates [sounds, candidates] of true angles [sounds]."""
    return candidates[int(np.abs(estimates - angle[:, None]).sum(axis=0).argmin())]


def _learn_together(
    kinds: Sequence[type[FittedObserver]], stimulus: ToneStimulus, seed: int, n_sounds: int
) -> tuple[list[np.ndarray], np.ndarray]:
    if n_sounds < 1:
        raise UserError(f"the number of training sounds is {n_sounds}; it must be at least 1")
    learned: list[dict[int, np.ndarray]] = [{} for _ in kinds]  # by the first sound of each part
    angles = []

    def learn(begin: int, end: int, first: int, ears: Ears) -> None:
        part = ears.part(begin, end)
        for kind, parts in zip(kinds, learned, strict=True):
            if kind.enough is None or first < kind.enough:
                parts[first + begin] = kind.learn(stimulus, part)

    for first in range(0, n_sounds, CHUNK):
        sounds = stimulus.draw(min(CHUNK, n_sounds - first), seed=seed, stream="training", first=first)
        over_sounds(learn, len(sounds), first, hear(stimulus, sounds.events))
        angles.append(sounds.angle.numpy())
    return [np.concatenate([parts[first] for first in sorted(parts)]) for parts in learned], np.concatenate(angles)
