"""A second layer that begins as rectifiers: its spikes say what the rectifiers say, and it beats what it replaces."""

import math

import numpy as np
import pytest
import torch

from spikeloc.batches import batches_of
from spikeloc.closed_form import fit_output
from spikeloc.errors import UserError
from spikeloc.network import Network, NetworkSettings
from spikeloc.neurons import reference
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


def test_a_steady_input_is_counted_as_its_rectified_sum(fitted):
    """The scaled weights say what the rectifiers say, if a sound's spikes come evenly and next to nothing leaks."""
    (batch,) = sounds(128, "test")
    weights = fitted.weights[1].detach()
    with torch.no_grad():
        counts = fitted(batch.events).counts[0]
    steady = torch.cat([counts / 50, torch.ones(128, 1)], dim=1)[:, None].expand(-1, 50, -1)
    layer = reference.lif_layer(
        steady, weights, fitted.settings.neurons()[1], 2 * TONE.dt, time_weights=torch.ones(1, 50)
    )
    rectified = (counts @ weights[:-1] + 50 * weights[-1]).clamp(0, 50)
    assert (layer.sums[0] - rectified).abs().max() < 2 + 0.1 * rectified.max()  # what is left, and what leaks
    assert 10 < np.quantile(rectified, 0.99) < 45  # about six tenths of 50 steps
    assert (rectified.max(dim=0).values > 5).sum() >= 8


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
