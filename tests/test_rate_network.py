"""A second layer that begins as rectifiers: its spikes say what the rectifiers say, and it beats what it replaces."""

import math

import numpy as np
import pytest
import torch

from spikeloc.batches import batches_of
from spikeloc.closed_form import fit_output
from spikeloc.errors import UserError
from spikeloc.network import Network, NetworkSettings
from spikeloc.rate_network import fit_second_layer
from spikeloc.readout import Readout
from spikeloc.recipe import Recipe
from spikeloc.stimuli import ToneStimulus
from spikeloc.training import Watch, train

TONE = ToneStimulus(fibres_per_ear=20, duration=0.1)
READOUT = Readout(kind="direction", classes=8, scale=50)
VALUES = {
    "hidden": (32, 16),
    "tau": (2e-3, 1.0),
    "output_tau": 1e-3,
    "initial_weights": "coincidence",
    "weight_gain": 2.0,
    "reset": "subtract",
    "tonic": True,
    "layer_steps": (1, 2),
}


def network(**values):
    settings = NetworkSettings(**(VALUES | values))
    generator = torch.Generator().manual_seed(1)
    return Network(settings, TONE.n_fibres, READOUT.n_outputs, TONE.dt, generator=generator, fibres=TONE.fibres)


def sounds(n, stream="begin"):
    return list(batches_of(TONE, np.arange(n), 128, seed=3, stream=stream))


def fit(net, n=1024, epochs=10, seed=5):
    done = []
    fit_second_layer(net, sounds(n), epochs, torch.Generator().manual_seed(seed), done.append)
    assert done == list(range(1, epochs + 1))
    return net


@pytest.fixture(scope="module")
def fitted():
    return fit(network())


def test_spike_counts_follow_the_rectified_sum(fitted):
    """With next to no leak, a count is the rectified sum of all currents, to within what is left on the membrane."""
    (batch,) = sounds(128, "test")
    with torch.no_grad():
        activity = fitted(batch.events)
        weights = fitted.weights[1]
        total = activity.counts[0] @ weights[:-1] + 50 * weights[-1]
    rectified, counts = total.clamp(min=0), activity.counts[1]
    busy = counts.mean(dim=0) > 1
    assert busy.sum() >= 8
    for neuron in np.flatnonzero(busy):
        assert np.corrcoef(rectified[:, neuron], counts[:, neuron])[0, 1] > 0.97
    assert float(counts.max()) <= 50  # a spike in each step at most
    assert 5 < float(counts.max(dim=0).values[busy].median()) < 50


def test_it_localises_better_than_random_second_weights(fitted):
    def error(net):
        fit_output(net, READOUT, sounds(1024), TONE.limit)
        test = sounds(512, "test")
        with torch.no_grad():
            errors = [READOUT.decide(net(batch.events), TONE.limit).angle - batch.angle for batch in test]
        return math.degrees(float(torch.cat(errors).abs().mean()))

    assert error(fitted) < 0.7 * error(network())


def test_it_is_a_function_of_its_generator():
    one, same, other = (fit(network(), 256, 1, seed).weights[1].detach() for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_it_leaves_the_global_generator_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    fit(network(), 256, 1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "values", [{"hidden": (32,), "tau": 2e-3, "layer_steps": ()}, {"tonic": False}, {"reset": "zero"}]
)
def test_other_networks_are_refused(values):
    with pytest.raises(UserError, match=r"two hidden layers, network\.tonic = true and network\.reset = 'subtract'"):
        fit(network(**values))


class InterruptionError(Exception):
    pass


class Interrupted(Watch):
    def __init__(self):
        self.begun = []

    def beginning(self, what, done, total):
        self.begun.append((what, done, total))

    def batch(self, *_):
        raise InterruptionError


def test_training_begins_so_once_and_goes_on_from_there(tmp_path):
    recipe = Recipe(
        name="two layers",
        stimulus=TONE,
        network=NetworkSettings(**VALUES),
        readout=READOUT,
        training={
            "begin": "rates", "begin_sounds": 256, "begin_epochs": 2, "sounds": 128, "batch": 64, "epochs": 1,
            "learning_rate": 1e-5, "validation_sounds": 64,
        },
    )  # fmt: skip
    watch = Interrupted()
    with pytest.raises(InterruptionError):
        train(recipe, tmp_path / "one", watch=watch)
    assert ("sounds", 256, 256) in watch.begun
    assert ("passes", 2, 2) in watch.begun
    again = Interrupted()
    with pytest.raises(InterruptionError):
        train(recipe, tmp_path / "one", resume=True, watch=again)
    assert again.begun == []  # what it had begun with was kept
    resumed = train(recipe, tmp_path / "one", resume=True).network()
    whole = train(recipe, tmp_path / "two").network()
    for one, other in zip(resumed.weights, whole.weights, strict=True):
        assert torch.equal(one, other)
