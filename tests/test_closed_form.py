"""Output weights by least squares: the normal equations, and what each kind of readout makes of the solution."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spikeloc.angles import class_of_angle, wrap
from spikeloc.batches import batches_of
from spikeloc.closed_form import fit_output
from spikeloc.errors import UserError
from spikeloc.network import Network, NetworkSettings
from spikeloc.normal_equations import ALONG
from spikeloc.readout import Readout, population_vector
from spikeloc.recipe import Recipe
from spikeloc.stimuli import ToneStimulus
from spikeloc.training import Watch, train

TONE = ToneStimulus(fibres_per_ear=20, duration=0.05)
SETTINGS = NetworkSettings(hidden=(24,), tau=5e-3, output_tau=1e-3, initial_weights="coincidence", weight_gain=1.0)


def barely_trained(**training):
    """A recipe whose only epoch changes next to nothing."""
    training = {"sounds": 64, "batch": 32, "epochs": 1, "learning_rate": 1e-9} | training
    return Recipe(stimulus=TONE, network=SETTINGS, readout=Readout(kind="direction", scale=100), training=training)


def batches(n=512):
    return list(batches_of(TONE, np.arange(n), 128, seed=3, stream="begin"))


def fitted(readout, settings=SETTINGS, n=512):
    generator = torch.Generator().manual_seed(1)
    network = Network(settings, TONE.n_fibres, readout.n_outputs, TONE.dt, generator=generator, fibres=TONE.fibres)
    fit_output(network, readout, batches(n), TONE.limit)
    return network


def means_and_angles(network):
    with torch.no_grad():
        means = torch.cat([network(sounds.events).means for sounds in batches()]).double()
    return means, torch.cat([sounds.angle for sounds in batches()])


def test_an_angle_readout_gets_the_least_squares_solution():
    network = fitted(Readout(kind="angle", scale=3))
    means, angle = means_and_angles(network)
    residual = means @ network.weights[-1].detach().double() * 3 - (angle / TONE.limit)[:, None]
    # At the minimum the gradient X'(Xw - y) + ridge w vanishes.
    ridge = 1e-4 * means.square().sum(dim=0).mean()
    gradient = means.T @ residual + ridge * network.weights[-1].detach().double() * 3
    assert float(gradient.abs().max()) < 1e-4 * float((means.T @ (angle / TONE.limit)).abs().max())


def test_a_direction_readout_points_where_least_squares_does():
    readout = Readout(kind="direction", classes=7, scale=50)
    network = fitted(readout)
    means, angle = means_and_angles(network)
    z = means @ written_out(means, angle, along=ALONG)
    with torch.no_grad():
        found = torch.cat([population_vector(readout.scores(network(sounds.events))) for sounds in batches()]).double()
    expected = torch.atan2(z[:, 1], z[:, 0])
    assert torch.allclose(torch.atan2(found[:, 1], found[:, 0]), expected, atol=1e-3)
    # The vector's length is as sure as errors on other sounds allow: up to 48 numbers were fitted to these.
    kappa = 1 / float((expected - angle).square().mean())
    sure = float(found.norm(dim=1).median()) / (kappa * float(z.norm(dim=1).median()))
    assert (1 - 48 / 512) ** 2 < sure < (1 - 24 / 512) ** 2


def written_out(means, angle, along):
    """Weights [inputs, 2] that minimise both squares and the ridge, one row of equations for each square."""
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    across_rows = torch.cat([means * sin, -means * cos], dim=1)
    along_rows = math.sqrt(along) * torch.cat([means * cos, means * sin], dim=1)
    rows = torch.cat([across_rows, along_rows])
    targets = torch.cat([torch.zeros(len(angle)), torch.full((len(angle),), math.sqrt(along))]).double()
    n = means.shape[1]
    ridge = (1 + along) / 2 * 1e-4 * means.square().sum(dim=0).mean() * torch.eye(2 * n, dtype=torch.float64)
    return torch.linalg.solve(rows.T @ rows + ridge, rows.T @ targets).reshape(2, n).T


def test_errors_across_the_direction_are_what_counts(monkeypatch):
    readout = Readout(kind="direction", classes=7, scale=50)
    fresh = TONE.draw(4096, seed=9)
    errors = {}
    for along in (1, ALONG):
        monkeypatch.setattr("spikeloc.normal_equations.ALONG", along)
        with torch.no_grad():
            decision = readout.decide(fitted(readout)(fresh.events), TONE.limit)
        errors[along] = float(wrap(decision.angle - fresh.angle).abs().mean())
    assert errors[ALONG] < 0.99 * errors[1]


@pytest.mark.parametrize("n", [128, 256, 1024])
def test_it_is_as_sure_as_its_errors_on_other_sounds_allow(n):
    readout = Readout(kind="direction", classes=7, scale=50)
    network = fitted(readout, n=n)
    fresh = TONE.draw(4096, seed=9)
    with torch.no_grad():
        decision = readout.decide(network(fresh.events), TONE.limit)
    errors = wrap(decision.angle - fresh.angle)
    stated = float(decision.uncertainty.square().median().sqrt())
    found = float(errors.abs().median()) / 0.6745
    assert 1.1 < stated / found < 1.45  # errors have tails: of the median they are 1.25, whatever the number of sounds


def test_a_class_readout_takes_the_class_nearest_to_that_direction():
    network = fitted(Readout(kind="class", classes=12))
    direction = fitted(Readout(kind="direction", classes=12))
    for sounds in batches():
        with torch.no_grad():
            label = Readout(kind="class", classes=12).decide(network(sounds.events), TONE.limit).label
            angle = Readout(kind="direction", classes=12).decide(direction(sounds.events), TONE.limit).angle
        assert float((label == class_of_angle(angle, 12, TONE.limit)).double().mean()) > 0.97


def test_class_probabilities_are_neither_too_sure_nor_too_unsure():
    readout = Readout(kind="class", classes=12)
    network = fitted(readout, n=2048)
    fresh = TONE.draw(4096, seed=9)
    losses = []
    with torch.no_grad():
        activity = network(fresh.events)
        for factor in (0.25, 1, 4):
            scaled = replace(activity, output=factor * activity.output)
            losses.append(float(readout.loss(scaled, fresh.angle, TONE.limit)))
    assert losses[1] < min(losses[0], losses[2]), losses


def test_a_constant_current_is_one_more_input_of_the_reading():
    network = fitted(Readout(kind="angle"), SETTINGS.model_copy(update={"output_tonic": True}))
    means, _ = means_and_angles(network)
    assert means.shape[1] == 25
    # What an output neuron of weight one would reach on average if its input spiked in every step.
    n, a = 50, math.exp(-1)
    expected = sum(1 - a**k for k in range(1, n + 1)) / n
    assert means[:, -1].numpy() == pytest.approx(expected, rel=1e-5)
    plain = fitted(Readout(kind="angle"))
    fresh = TONE.draw(512, seed=9)
    with torch.no_grad():
        said = [each(fresh.events).output[:, 0].double() for each in (network, plain)]
    errors = [float((each - fresh.angle / TONE.limit).square().mean()) for each in said]
    assert errors[0] < errors[1]


def test_a_readout_of_anything_but_mean_potentials_is_refused():
    with pytest.raises(UserError, match=r"needs readout\.output = 'mean'"):
        fitted(Readout(kind="class", output="max"))


def test_training_that_begins_so_knows_much_at_once(tmp_path):
    recipe = barely_trained(begin_sounds=1024)
    begun = recipe.with_values({"training.begin": "least_squares"})
    losses = [train(each, tmp_path / str(i)).history[0]["loss"] for i, each in enumerate((recipe, begun))]
    assert losses[0] == pytest.approx(math.log(2 * math.pi), abs=1e-3)  # output weights of zero: anywhere
    assert losses[1] < losses[0] - 1


def test_output_weights_are_fitted_anew_after_training(tmp_path):
    recipe = barely_trained(validation_sounds=256)
    before = train(recipe, tmp_path / "before").network().weights
    heard = Heard()
    after = train(recipe.with_values({"training.refit_sounds": 512}), tmp_path / "after", watch=heard).network().weights
    assert heard.refitted[-1] == (512, 512)
    assert "refitted on 512 sounds: validation accuracy" in heard.reason
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_a_refit_that_is_worse_is_left_out(tmp_path):
    recipe = barely_trained(validation_sounds=256, begin="least_squares", begin_sounds=2048)
    before = train(recipe, tmp_path / "before").network().weights
    heard = Heard()
    after = train(recipe.with_values({"training.refit_sounds": 8}), tmp_path / "after", watch=heard).network().weights
    assert "no better" in heard.reason
    assert torch.equal(before[1], after[1])


def test_a_refit_needs_mean_potentials():
    with pytest.raises(UserError, match=r"refit_sounds needs readout\.output = 'mean'"):
        Recipe(stimulus=TONE, network=SETTINGS, readout=Readout(output="max"), training={"refit_sounds": 8})


class Heard(Watch):
    """Remembers what training says of refitting."""

    def __init__(self):
        self.refitted = []

    def refitting(self, done, total):
        self.refitted.append((done, total))

    def finished(self, reason):
        self.reason = reason


def test_it_is_the_same_every_time():
    first, second = (fitted(Readout(kind="direction")).weights[-1] for _ in range(2))
    assert torch.equal(first, second)
