import math

import numpy as np
import pytest
import torch

from spikeloc.analysis.activity import Tuning, example_activity, nearest_sounds, tuning_curves
from spikeloc.angles import class_centres
from spikeloc.observers.trained import TrainedObserver
from spikeloc.runs import build_network


@pytest.fixture
def observer_of(tiny_recipe):
    """An observer with initial weights, and its stimulus, for the tiny recipe with some values changed."""

    def make(**values):
        settings = {"network.engine": "reference", "network.weight_gain": 3.0}
        recipe = tiny_recipe.with_values(settings | {key.replace("__", "."): value for key, value in values.items()})
        return TrainedObserver(build_network(recipe), recipe.readout, recipe.stimulus.max_ipd), recipe.stimulus

    return make


def test_nearest_sounds_are_sounds_of_the_stream_from_near_the_angles(tiny_recipe):
    stimulus = tiny_recipe.stimulus
    angles = np.deg2rad([-90, -10, 45])
    indices = nearest_sounds(stimulus, angles, 4, seed=3)
    assert indices.shape == (3, 4)
    assert len(np.unique(indices)) == 12
    for angle, row in zip(angles, indices, strict=True):
        drawn = stimulus.draw(seed=3, stream="test", indices=row).angle.numpy()
        np.testing.assert_allclose(drawn, angle, atol=math.radians(3))


def test_tuning_curves_are_mean_rates_of_the_sounds_near_each_angle(observer_of):
    observer, stimulus = observer_of()
    tuning = tuning_curves(observer, stimulus, n_angles=5, repeats=6, seed=1)
    np.testing.assert_allclose(tuning.angle, class_centres(5).numpy())
    (rates,) = tuning.rates
    assert rates.shape == (5, 5)
    assert rates.max() > 0
    indices = nearest_sounds(stimulus, tuning.angle, 6, seed=1)
    sounds = stimulus.draw(seed=1, indices=indices[2])
    activity = observer.network(sounds.events, "mean", record=True)
    seconds = stimulus.n_steps * stimulus.dt
    np.testing.assert_allclose(rates[2], activity.hidden[0].spikes.detach().sum(1).mean(0) / seconds, rtol=1e-5)
    np.testing.assert_allclose(tuning.scores[2], activity.output.detach().mean(0), rtol=1e-5)


def test_every_spiking_layer_has_tuning_curves(observer_of):
    tuning = tuning_curves(*observer_of(network__hidden="6,3", readout__output="count"), n_angles=4, repeats=2, seed=0)
    assert [rates.shape for rates in tuning.rates] == [(4, 6), (4, 3), (4, 4)]
    assert tuning_curves(*observer_of(network__hidden="[]"), n_angles=4, repeats=2, seed=0).rates == ()


def test_preferred_angles_are_at_peaks_and_dips():
    angle = np.linspace(-1, 1, 9)
    peak, dip, flat = np.exp(-((angle - 0.5) ** 2) * 50), 1 - np.exp(-((angle + 0.25) ** 2) * 50), np.full(9, 7.0)
    tuning = Tuning(angle, (np.stack([peak, flat, dip], axis=1),), np.zeros((9, 1)))
    np.testing.assert_allclose(tuning.preferred(), [[0.5, np.nan, -0.25]])
    np.testing.assert_array_equal(tuning.orders(), [[2, 0, 1]])


def test_examples_show_what_the_observer_does(observer_of):
    observer, stimulus = observer_of(readout__scale=2.0)
    examples = example_activity(observer, stimulus, n=3, seed=5)
    np.testing.assert_allclose(np.rad2deg(examples.angle), [-67.5, 22.5, 67.5], atol=3)
    assert examples.hidden[0].shape == (3, 25, 5)
    assert examples.hidden[0].dtype == bool
    indices = nearest_sounds(stimulus, class_centres(4).numpy()[[0, 2, 3]], 1, seed=5)[:, 0]
    sounds = stimulus.draw(seed=5, indices=indices)
    np.testing.assert_array_equal(examples.angle, sounds.angle)
    np.testing.assert_array_equal(examples.estimate, observer.localise(sounds.events))
    scores = observer.readout.scores(observer.network(sounds.events)).detach()
    np.testing.assert_allclose(examples.trace.mean(axis=1), scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 2, 50])
def test_examples_come_from_different_classes(observer_of, classes):
    examples = example_activity(*observer_of(readout__classes=classes), n=6, seed=0)
    assert len(examples.angle) == min(classes, 6)
    assert torch.unique(torch.from_numpy(examples.angle)).numel() == len(examples.angle)


def test_spikes_of_a_slow_layer_are_shown_where_its_steps_begin(observer_of):
    observer, stimulus = observer_of(network__hidden=(5, 4), network__layer_steps=(1, 5), network__weight_gain=5.0)
    examples = example_activity(observer, stimulus, n=3, seed=5)
    assert examples.hidden[1].shape == (3, 25, 4)
    assert examples.hidden[1].any()
    between = np.delete(examples.hidden[1], np.arange(0, 25, 5), axis=1)
    assert not between.any()
    assert examples.trace.shape[1] == 25
