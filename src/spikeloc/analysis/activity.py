"""What the neurons of a trained network do: how much they fire for each angle, and single sounds in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from spikeloc.angles import class_centres
from spikeloc.batches import batches_of
from spikeloc.observers.trained import TrainedObserver
from spikeloc.stimuli import Sounds, Stimulus, ToneStimulus

__all__ = ["Examples", "Tuning", "example_activity", "nearest_sounds", "tuning_curves"]

CANDIDATES = 64  # sounds looked through for each sound kept, so that angles are met within a small part of a degree


@dataclass(frozen=True)
class Tuning:
    """How a network's activity depends on the angle, averaged over sounds: A angles, H neurons, K output neurons.

    angle    evenly spaced angles, radians                                              [A]
    rates    mean firing rate of every neuron of each spiking layer, Hz   one [A, H] for each layer
    scores   mean score of every output neuron                                          [A, K]
    """

    angle: np.ndarray
    rates: tuple[np.ndarray, ...]
    scores: np.ndarray

    def preferred(self) -> list[np.ndarray]:
        """The angle, radians, at which each neuron's rate is farthest from its median: the top of a peak or the bottom
        of a dip. One [H] for each layer; NaN for a neuron whose rate is the same at all angles.
        """
        found = []
        for rates in self.rates:
            distance = np.abs(rates - np.median(rates, axis=0))
            found.append(np.where(distance.max(axis=0) > 0, self.angle[distance.argmax(axis=0)], np.nan))
        return found

    def orders(self) -> list[np.ndarray]:
        """The neurons of each layer in the order of :meth:`preferred`; those without tuning last."""
        return [np.argsort(angle, kind="stable") for angle in self.preferred()]


@dataclass(frozen=True)
class Examples:
    """Everything a network does with a few sounds: B sounds, T time steps, H neurons, K output neurons.

    angle      true angles, radians                                      [B]
    estimate   the network's estimates, radians                          [B]
    hidden     spikes of each hidden layer, boolean    one [B, T, H] for each layer
    trace      scores over time, whose mean is the score of a readout by mean    [B, T, K]
    """

    angle: np.ndarray
    estimate: np.ndarray
    hidden: tuple[np.ndarray, ...]
    trace: np.ndarray


def nearest_sounds(
    stimulus: ToneStimulus, angles: np.ndarray, repeats: int, *, seed: int, stream: str = "test"
) -> np.ndarray:
    """Indices of the sounds of a stream whose angles are nearest to the given ones, radians [A]: [A, repeats]."""
    n = CANDIDATES * repeats * len(angles)
    drawn, _ = stimulus.draw_angles(np.arange(n, dtype=np.int64), seed=seed, stream=stream)
    nearest = [np.argpartition(np.abs(drawn - angle), repeats - 1)[:repeats] for angle in angles]
    return np.sort(np.stack(nearest), axis=1).astype(np.int64)


def tuning_curves(
    observer: TrainedObserver, stimulus: Stimulus, *, n_angles: int = 36, repeats: int = 32, seed: int
) -> Tuning:
    """Mean firing rates and scores at evenly spaced angles, over test sounds from very near each angle."""
    angles = class_centres(n_angles, observer.limit).numpy()
    rates, scores = [], []
    with torch.no_grad():
        for sounds in _sounds_near(stimulus, angles, repeats, seed=seed):
            activity = observer.network(sounds.events, observer.readout.output)
            rates.append([layer.numpy() for layer in activity.rates])
            scores.append(observer.readout.scores(activity).mean(dim=0).numpy())
    layers = zip(*rates, strict=True)
    return Tuning(angles, tuple(np.stack(layer) for layer in layers), np.stack(scores))


def _sounds_near(stimulus: Stimulus, angles: np.ndarray, repeats: int, *, seed: int) -> Iterator[Sounds]:
    """As many test sounds from each of the angles, radians, or from very near it, angle by angle."""
    if isinstance(stimulus, ToneStimulus):
        indices = nearest_sounds(stimulus, angles, repeats, seed=seed).ravel()
        yield from batches_of(stimulus, indices, repeats, seed=seed, stream="test")
        return
    # What a scene's sounds are does not depend on where they come from.
    for place, angle in enumerate(angles):
        yield stimulus.draw(repeats, seed=seed, stream="test", first=place * repeats, angle=np.full(repeats, angle))


def example_activity(observer: TrainedObserver, stimulus: Stimulus, *, n: int = 6, seed: int) -> Examples:
    """A few test sounds and what the network does with them: from the middles of at most n classes, evenly spread."""
    classes = observer.readout.classes
    labels = np.unique(np.linspace(0, classes - 1, min(n, classes)).round().astype(np.int64))
    angles = class_centres(classes, observer.limit).numpy()[labels]
    if isinstance(stimulus, ToneStimulus):
        indices = nearest_sounds(stimulus, angles, 1, seed=seed)[:, 0]
        sounds = stimulus.draw(seed=seed, stream="test", indices=indices)
    else:
        sounds = stimulus.draw(len(angles), seed=seed, stream="test", angle=angles)
    with torch.no_grad():
        activity = observer.network(sounds.events, observer.readout.output, record=True)
    assert activity.trace is not None
    return Examples(
        angle=sounds.angle.numpy(),
        estimate=observer.readout.decide(activity, observer.limit).angle.numpy(),
        hidden=tuple(
            _in_time(layer.spikes.numpy() > 0, steps, activity.trace.shape[1])
            for layer, steps in zip(activity.hidden, observer.network.steps, strict=True)
            if layer.spikes is not None
        ),
        trace=(activity.trace * observer.readout.scale).numpy(),
    )


def _in_time(spikes: np.ndarray, steps: int, n_steps: int) -> np.ndarray:
    """Spikes of a layer that takes several time steps at once, each in the first of them: [B, bins, H] -> [B, T, H]."""
    if steps == 1:
        return spikes
    found = np.zeros((len(spikes), n_steps, spikes.shape[2]), dtype=np.bool_)
    found[:, ::steps] = spikes
    return found
