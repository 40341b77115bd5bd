"""Hidden neurons as staircases of trained sums: the sums and their gradients, and what the trained neurons do."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloc.angles import wrap
from spikeloc.batches import batches_of
from spikeloc.closed_form import _tied, _untied, fit_output
from spikeloc.errors import UserError
from spikeloc.network import Network, NetworkSettings
from spikeloc.pursuit import COSINES, fit_staircases, hat_sums, polygon_sums, smooth_basis
from spikeloc.readout import Readout
from spikeloc.recipe import Recipe
from spikeloc.staircases import KNOTS, increments
from spikeloc.stimuli import SceneStimulus, ToneStimulus
from spikeloc.training import Watch, train

TONE = ToneStimulus(fibres_per_ear=30, duration=0.05, rate_max=800)
READOUT = Readout(kind="direction", classes=8, scale=50)
VALUES = {
    "hidden": (96,),
    "tau": 2e-4,
    "output_tau": 1e-4,
    "reset": "subtract",
    "initial_weights": "coincidence",
    "threshold_shares": (0.05, 0.8),
    "levels": 12,
    "harmonics": 3,
    "output_tonic": True,
}


def network(stimulus=TONE, **values):
    settings = NetworkSettings(**(VALUES | values))
    generator = torch.Generator().manual_seed(1)
    return Network(
        settings, stimulus.n_fibres, READOUT.n_outputs, stimulus.dt, generator=generator, fibres=stimulus.fibres
    )


def sounds(n, stream="begin", first=0):
    return list(batches_of(TONE, np.arange(first, first + n), 64, seed=3, stream=stream))


def fit(net, passes, n=1024, stimulus=TONE):
    done = []
    fit_staircases(net, stimulus.fibres, lambda each: sounds(n, "pursuit", each * n), passes, n // 64, done.append)
    assert done == list(range(1, passes + 1))
    return net


def error(net):
    """Degrees, after the output weights were fitted to what the hidden neurons do."""
    fit_output(net, READOUT, sounds(4096), TONE.limit, 1e-6)
    test = sounds(2048, "test")
    with torch.no_grad():
        errors = [wrap(READOUT.decide(net(batch.events), TONE.limit).angle - batch.angle) for batch in test]
    return math.degrees(float(torch.cat(errors).abs().mean()))


def polygons_written_out(x, heights, n_steps):
    """Every polygon at every sum by linear interpolation, float64 [sound, 2]."""
    knots = np.arange(KNOTS + 1) / KNOTS
    z = np.zeros((len(x) // n_steps, 2))
    for row in range(len(x)):
        for group in range(x.shape[1]):
            for place in (0, 1):
                z[row // n_steps, place] += np.interp(x[row, group], knots, [0, *heights[group, :, place]])
    return z


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_polygons_and_hats_add_up(n_sounds, n_steps, n_groups, seed):
    random = np.random.default_rng(seed)
    x = random.uniform(-0.5, 1.5, (n_sounds * n_steps, n_groups)).astype(np.float32)
    x[random.random(x.shape) < 0.2] = random.choice([0, 0.125, 0.5, 1])  # on a knot
    heights = random.normal(size=(n_groups, KNOTS, 2)).astype(np.float32)
    expected = polygons_written_out(x, heights, n_steps)
    z = polygon_sums(torch.from_numpy(x), torch.from_numpy(heights), n_steps)
    np.testing.assert_allclose(z, expected, atol=1e-4)
    hats = hat_sums(torch.from_numpy(x), n_steps)
    np.testing.assert_allclose(np.einsum("sgk,gkp->sp", hats, heights), expected, atol=1e-4)


def test_gradients_are_those_of_the_polygons():
    random = np.random.default_rng(0)
    n_sounds, n_steps, n_groups = 37, 3, 5
    x = torch.from_numpy(random.uniform(-0.3, 1.3, (n_sounds * n_steps, n_groups)).astype(np.float32)).requires_grad_()
    heights = torch.from_numpy(random.normal(size=(n_groups, KNOTS, 2)).astype(np.float32)).requires_grad_()
    g = torch.from_numpy(random.normal(size=(n_sounds, 2)).astype(np.float32))
    polygon_sums(x, heights, n_steps).backward(g)

    def value(sums, knots):
        return (polygons_written_out(sums, knots, n_steps) * g.numpy()).sum()

    plain, knots = x.detach().double().numpy(), heights.detach().double().numpy()
    for row, group in [(0, 0), (17, 3), (50, 2), (110, 4)]:
        step = np.zeros_like(plain)
        step[row, group] = 1e-6
        slope = (value(plain + step, knots) - value(plain - step, knots)) / 2e-6
        assert float(x.grad[row, group]) == pytest.approx(slope, abs=1e-3)
    for group, knot, place in [(0, 0, 0), (2, 3, 1), (4, KNOTS - 1, 0)]:
        step = np.zeros_like(knots)
        step[group, knot, place] = 1e-6
        slope = (value(plain, knots + step) - value(plain, knots - step)) / 2e-6
        assert float(heights.grad[group, knot, place]) == pytest.approx(slope, rel=1e-3, abs=1e-3)
    # Beyond the last knot and below zero nothing grows.
    outside = (x.detach() <= 0) | (x.detach() >= 1)
    assert outside.any()
    assert (x.grad[outside] == 0).all()


def test_weights_are_smooth_over_an_ears_fibres_in_the_order_of_their_phases():
    basis = smooth_basis(TONE.fibres).numpy()
    assert basis.shape == (60, 2 * COSINES)
    ear, phase = TONE.fibres.ear, TONE.fibres.phase
    for each in (0, 1):
        own = basis[ear == each][np.argsort(phase[ear == each])]
        place = np.arange(30) / 29
        np.testing.assert_allclose(own[:, each * COSINES + 3], np.cos(3 * np.pi * place), atol=1e-6)
        assert (own[:, (1 - each) * COSINES :][:, :COSINES] == 0).all()


def test_neurons_of_a_group_spike_at_their_levels():
    net = fit(network(), passes=1)
    weights = net.weights[0].detach().numpy()
    common = weights[:, ::12] * 0.5 / 12  # the lowest threshold is reached at a 24th
    (batch,) = sounds(64, "test")
    dense = batch.events.to_dense()
    drive = dense.float().numpy() @ common
    with torch.no_grad():
        layer = net(batch.events, record=True).hidden[0]
    spiking = layer.spikes.numpy().reshape(64, 50, 8, 12).sum(axis=-1)
    expected = np.clip(np.floor(12 * drive + 0.5), 0, 12)
    assert (spiking == expected).mean() > 0.97  # a membrane keeps a 150th of its last potential
    assert 0.02 < (drive > 0.8).mean() < 0.3  # the levels reach as far as the sums do


def test_it_localises_better_than_random_weights_and_better_with_training():
    untrained, begun, trained = error(network()), error(fit(network(), 1)), error(fit(network(), 40))
    assert trained < 0.97 * untrained
    assert trained < 0.99 * begun


def test_it_is_the_same_on_one_thread_and_on_two():
    found = []
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            x = torch.linspace(-0.2, 1.2, 40 * 6 * 3).reshape(-1, 3).requires_grad_()
            heights = torch.linspace(-1, 1, 3 * KNOTS * 2).reshape(3, KNOTS, 2).requires_grad_()
            polygon_sums(x, heights, 6).square().sum().backward()
            found.append((x.grad, heights.grad))
        finally:
            torch.set_num_threads(threads)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def recipe(network=None, training=None, **changes):
    begin = {"begin": "pursuit", "begin_sounds": 512, "begin_epochs": 2}
    few = {"sounds": 64, "batch": 32, "epochs": 1, "learning_rate": 1e-9, "validation_sounds": 64}
    values = {"stimulus": TONE, "readout": READOUT} | changes
    settings = NetworkSettings(**(VALUES | (network or {})))
    return Recipe(network=settings, training=begin | few | (training or {}), **values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"levels": 4}}, r"needs network\.levels of 8 or more, not 4"),
        ({"network": {"reset": "late_zero"}}, "not 'late_zero'"),
        ({"network": {"tau": 5e-3}}, r"for 12 levels a network\.tau of at most 0\.315 ms, not 5 ms"),
        ({"network": {"tau": 1e-9}, "stimulus": SceneStimulus()}, "all tuned to one frequency"),
        ({"readout": Readout(output="max")}, "needs readout.output = 'mean', but that is 'max'"),
    ],
)
def test_what_cannot_begin_so_is_refused_before_anything_is_written(changes, message):
    with pytest.raises(UserError, match=message):
        recipe(**changes)


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_sounds_with_hardly_a_spike_are_refused(rate, tmp_path):
    with pytest.raises(UserError, match="hardly a spike"):
        train(recipe(stimulus=TONE.model_copy(update={"rate_max": rate})), tmp_path / "run")


def test_a_sum_that_is_not_a_number_does_no_harm():
    x = torch.tensor([[math.nan], [math.inf], [-math.inf]])
    z = polygon_sums(x, torch.ones(1, KNOTS, 2), 1)
    np.testing.assert_array_equal(z, [[0, 0], [1, 1], [0, 0]])


def test_both_engines_begin_alike(tmp_path):
    found = []
    for engine in ("fused", "reference"):
        run = train(recipe(network={"engine": engine}, training={"device": "cpu"}), tmp_path / engine)
        found.append([weights.detach() for weights in run.network().weights])
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0.05, atol=0.02 * float(found[0][1].std()))


def test_tied_output_weights_say_the_same_of_all_neurons():
    random = torch.Generator().manual_seed(0)
    means = torch.rand(9, 3 * 20 + 1, generator=random, dtype=torch.float64)
    weights = torch.randn(3 * KNOTS + 1, 2, generator=random, dtype=torch.float64)
    tie = increments(20)
    torch.testing.assert_close(_tied(means, tie) @ weights, means @ _untied(weights, tie))


def test_a_run_that_is_killed_while_it_begins_comes_to_the_same_weights(tmp_path):
    class Killed(Watch):
        def beginning(self, what, *_):
            if what == "passes":
                raise KeyboardInterrupt

    whole = train(recipe(training={"refit_sounds": 512}), tmp_path / "whole").network().weights
    with pytest.raises(KeyboardInterrupt):
        train(recipe(training={"refit_sounds": 512}), tmp_path / "killed", watch=Killed())
    again = train(recipe(training={"refit_sounds": 512}), tmp_path / "killed", resume=True).network().weights
    assert all(torch.equal(*pair) for pair in zip(whole, again, strict=True))


def test_training_that_begins_so_knows_much_at_once(tmp_path):
    heard = Heard()
    begun = train(recipe(), tmp_path / "begun", watch=heard)
    assert heard.said == [("passes", 1, 2), ("passes", 2, 2), ("sounds", 512, 512)]
    assert begun.history[0]["loss"] < math.log(2 * math.pi) - 2
    again = train(recipe(), tmp_path / "again").network().weights
    assert all(torch.equal(*pair) for pair in zip(begun.network().weights, again, strict=True))


class Heard(Watch):
    """Remembers what is said of the beginning."""

    def __init__(self):
        self.said = []

    def beginning(self, what, done, total):
        if what == "passes" or done == total:
            self.said.append((what, done, total))
