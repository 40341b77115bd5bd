"""Gradients whose chain rule is written out, against autograd's of the same network."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from spikeloc import training
from spikeloc.cross_entropy import cross_entropy
from spikeloc.direct_gradients import direct_gradients, has_direct_gradients
from spikeloc.errors import UserError
from spikeloc.network import Network, NetworkSettings
from spikeloc.neurons.models import RESETS
from spikeloc.readout import Readout
from spikeloc.recipe import RatePenalty
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus
from spikeloc.training import train

LIMIT = math.pi / 2
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def numbers(shape, seed, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@FEW
@given(
    st.integers(1, 9), st.integers(1, 70), st.integers(1, 70), st.sampled_from([1e-3, 1.0, 30.0]), st.integers(0, 99)
)
def test_cross_entropy_is_that_of_pytorch_in_double_precision(n_sounds, n_inputs, n_classes, scale, seed):
    means, weights = numbers((n_sounds, n_inputs), seed), numbers((n_inputs, n_classes), seed + 1, n_inputs**-0.5)
    label = np.random.default_rng(seed).integers(0, n_classes, n_sounds)
    loss, *found = cross_entropy(means, weights, scale, label)
    w, m = (torch.from_numpy(x).double().requires_grad_() for x in (weights, means))
    expected = functional.cross_entropy(scale * (m @ w), torch.from_numpy(label))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5, abs=1e-6 * scale)
    # Scores are rounded by 6e-8 of the largest, and an exponential multiplies that error by its own value.
    for actual, exact in zip(found, (w.grad, m.grad), strict=True):
        assert np.abs(actual - exact.numpy()).max() <= 1e-5 * scale * max(1.0, scale)


def test_cross_entropy_by_hand():
    """Two classes, one input: z = (0, ln 3), so p = (1/4, 3/4)."""
    loss, g_weights, g_means = cross_entropy(
        np.ones((1, 1), np.float32), np.array([[0, math.log(3)]], np.float32), 1.0, np.array([0])
    )
    assert loss == pytest.approx(math.log(4))
    np.testing.assert_allclose(g_weights, [[-0.75, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(g_means, [[0.75 * math.log(3)]], rtol=1e-6)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_cross_entropy_of_extreme_scores_is_finite(size):
    weights = np.array([[size, -size, 0]], np.float32)
    loss, g_weights, g_means = cross_entropy(np.ones((2, 1), np.float32), weights, 1.0, np.array([0, 1]))
    assert loss == pytest.approx(size, rel=1e-6)  # mean of 0 and 2 size
    assert np.isfinite(g_weights).all()
    assert np.isfinite(g_means).all()


def test_a_score_that_is_not_a_number_makes_the_loss_one_too():
    means = np.array([[np.nan]], np.float32)
    assert math.isnan(cross_entropy(means, np.ones((1, 3), np.float32), 1.0, np.array([1]))[0])


@st.composite
def networks(draw):
    """A network, its readout, spikes and classes."""
    hidden = tuple(draw(st.lists(st.integers(1, 40), max_size=3)))
    kind = NetworkSettings(
        hidden=hidden,
        tau=draw(st.tuples(*[st.sampled_from([1e-3, 20e-3])] * len(hidden)) if hidden else st.just(1e-3)),
        output_tau=draw(st.sampled_from([1e-3, 20e-3])),
        reset=draw(st.sampled_from(RESETS)),
        reset_gradient=draw(st.booleans()),
        floor=draw(st.sampled_from([None, 0.0])),
        surrogate=draw(st.sampled_from(["superspike", "arctan"])),
        slope=3,
        weight_gain=4,
    )
    n_sounds, n_steps, n_fibres = draw(st.integers(1, 20)), draw(st.integers(1, 30)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    readout = Readout(classes=draw(st.integers(1, 40)), scale=draw(st.sampled_from([1.0, 8.0])))
    network = Network(kind, n_fibres, readout.n_outputs, 1e-3, generator=generator)
    density = draw(st.sampled_from([0.0, 0.2, 1.0]))
    spikes = torch.rand(n_sounds, n_steps, n_fibres, generator=generator) < density
    angle = LIMIT * (2 * torch.rand(n_sounds, generator=generator, dtype=torch.float64) - 1)
    return network, readout, spikes, angle


def by_autograd(network, readout, spikes, angle):
    """Loss and gradients."""
    loss = readout.loss(network(spikes), angle, LIMIT)
    return loss.item(), torch.autograd.grad(loss, tuple(network.parameters()))


def of_scores(network, readout, spikes):
    """Gradients of the mean score of the sounds' first class: how large they are where an answer is not certain."""
    score = readout.scores(network(spikes))[:, 0].mean()
    return torch.autograd.grad(score, tuple(network.parameters()))


def taken(network):
    return [weights.grad.clone() for weights in network.parameters()]


@FEW
@given(networks())
def test_same_as_autograd(made):
    network, readout, spikes, angle = made
    assert has_direct_gradients(network, readout)
    loss, expected = by_autograd(*made)
    label = readout.true_label(angle, LIMIT).numpy()
    assert direct_gradients(network, readout, spikes, label) == pytest.approx(loss, rel=1e-5, abs=1e-6)
    from_tensor = taken(network)
    direct_gradients(network, readout, SpikeEvents.from_dense(spikes), label)
    assume(all(e.isfinite().all() for e in expected))
    # The same kernels, so that only the scores' gradients, p - 1 and p, are rounded otherwise: by 6e-8 of one, times
    # the scale and what the chain makes of them. A constant gradient of that size says how much that is.
    unit = of_scores(network, readout, spikes)
    for a, b, e, u in zip(from_tensor, taken(network), expected, unit, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, e, rtol=0, atol=1e-4 * float(e.abs().max()) + 1e-5 * float(u.abs().max()) + 1e-30)


@pytest.mark.parametrize("hidden", [(), (33,), (40, 5)])
def test_same_bits_on_one_thread_and_two(hidden):
    network = Network(NetworkSettings(hidden=hidden), 30, 12, 1e-3, generator=torch.Generator().manual_seed(0))
    spikes = torch.rand(37, 50, 30, generator=torch.Generator().manual_seed(1)) < 0.2
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append((direct_gradients(network, Readout(), spikes, np.arange(37) % 12), taken(network)))
    finally:
        torch.set_num_threads(before)
    assert found[0][0] == found[1][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.parametrize(
    ("network", "readout"),
    [
        ({"engine": "reference"}, {}),
        ({}, {"kind": "direction"}),
        ({}, {"kind": "angle"}),
        ({}, {"output": "max"}),
        ({}, {"output": "count"}),
        ({"hidden": (8, 8), "tonic": True}, {}),
        ({"hidden": (8, 8), "layer_steps": (1, 5)}, {}),
        ({"hidden": (8,), "output_tonic": True}, {}),
        ({"hidden": (8,), "by_channel": True}, {}),
        ({"hidden": (1000,)}, {"classes": 20}),
    ],
)
def test_other_networks_are_left_to_autograd(network, readout):
    assert not has_direct_gradients(plain(**network, readout=Readout(**readout)), Readout(**readout))


def plain(readout=Readout(), **settings):  # noqa: B008
    """A network of four fibres."""
    fibres = ToneStimulus(fibres_per_ear=2).fibres
    generator = torch.Generator().manual_seed(0)
    return Network(NetworkSettings(**settings), 4, readout.n_outputs, 1e-3, generator=generator, fibres=fibres)


def test_weights_in_double_precision_and_frozen_ones_are_left_to_autograd():
    assert has_direct_gradients(plain(), Readout())
    assert not has_direct_gradients(plain().double(), Readout())
    frozen = plain()
    frozen.weights[0].requires_grad_(False)
    assert not has_direct_gradients(frozen, Readout())


@pytest.mark.parametrize("label", [[12, 0], [-1, 0], [0], [0, 0, 0], [[0], [0]]])
def test_labels_that_are_none_are_refused(label):
    with pytest.raises(ValueError, match="a class from 0 to 11 for each of 2 sounds"):
        direct_gradients(plain(), Readout(), torch.zeros(2, 5, 4), np.array(label))


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 0, 4), (2, 5, 5000)])
def test_spikes_that_do_not_fit_are_refused(shape):
    with pytest.raises(UserError, match="expects at least one step of 4 fibres"):
        direct_gradients(plain(), Readout(), torch.zeros(shape), np.zeros(2, np.int64))


def few_steps(recipe, *penalties):
    """One epoch of three batches."""
    return recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"epochs": 1, "rate_penalty": penalties})}
    )


def test_training_takes_the_same_steps_either_way(tiny_recipe, tmp_path, monkeypatch):
    recipe = few_steps(tiny_recipe)
    direct = train(recipe, tmp_path / "direct").network().state_dict()
    monkeypatch.setattr(training, "has_direct_gradients", lambda *_: False)
    recorded = train(recipe, tmp_path / "recorded").network().state_dict()
    initial = training.build_network(recipe).state_dict()
    for name, weights in recorded.items():
        moved = (weights - initial[name]).abs().max()
        assert moved > 0
        # Adam's steps are of equal size however small a gradient is, so a few that are rounding alone may differ.
        assert ((direct[name] - weights).abs() <= 1e-3 * moved).float().mean() > 0.99


def test_a_penalty_on_rates_is_not_forgotten(tiny_recipe, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(training, "direct_gradients", refuse)
    train(few_steps(tiny_recipe, RatePenalty(lower=1, upper=50, weight=1.0)), tmp_path / "run")
    with pytest.raises(AssertionError):
        train(few_steps(tiny_recipe), tmp_path / "other")
