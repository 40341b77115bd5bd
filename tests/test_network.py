import math

import pytest
import torch

from spikeloc.errors import UserError
from spikeloc.initial_weights import uniform_weights
from spikeloc.network import Network, NetworkSettings, mean_potential_weights
from spikeloc.neurons.models import decay
from spikeloc.neurons.reference import leaky_trace

DT = 1e-3
OUTPUTS = ("mean", "max", "count")


def make(hidden=(7,), engine="reference", n_inputs=6, **settings):
    generator = torch.Generator().manual_seed(0)
    return Network(
        NetworkSettings(hidden=hidden, engine=engine, weight_gain=3, **settings), n_inputs, 4, DT, generator=generator
    )


def spikes(n=5, steps=40, neurons=6):
    return torch.rand(n, steps, neurons, generator=torch.Generator().manual_seed(1)) < 0.3


@pytest.mark.parametrize("steps", [1, 2, 40])
@pytest.mark.parametrize("tau", [1e-4, 5e-3, 10.0])
def test_mean_potential_is_a_weighted_count(steps, tau):
    x = spikes(steps=steps).double()
    w = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    by_trace = leaky_trace(x, w, tau, DT).mean(dim=1)
    by_count = torch.einsum("t,btn->bn", mean_potential_weights(steps, tau, DT), x) @ w
    torch.testing.assert_close(by_count, by_trace)


@pytest.mark.parametrize("hidden", [(), (7,), (7, 3), (2, 3, 4)])
@pytest.mark.parametrize("engine", ["reference", "fused"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_recording_changes_nothing_and_agrees_with_the_output(hidden, engine, output):
    network = make(hidden, engine)
    plain, recorded = network(spikes(), output), network(spikes(), output, record=True)
    torch.testing.assert_close(plain.output, recorded.output)
    assert plain.trace is None
    assert recorded.trace.shape == (5, 40, 4)
    assert [layer.spikes.shape[2] for layer in recorded.hidden] == list(hidden)
    assert all(layer.membrane.shape == layer.spikes.shape for layer in recorded.hidden)
    if output == "mean":
        torch.testing.assert_close(recorded.output, recorded.trace.mean(dim=1))
    if output == "max":
        torch.testing.assert_close(recorded.output, recorded.trace.max(dim=1).values)


@pytest.mark.parametrize("hidden", [(), (7,), (7, 3)])
@pytest.mark.parametrize("output", OUTPUTS)
def test_engines_agree_on_outputs_rates_and_gradients(hidden, output):
    results = []
    for engine in ("reference", "fused"):
        network = make(hidden, engine, surrogate="sigmoid", slope=3.0)
        activity = network(spikes(), output)
        loss = activity.output.square().sum() + sum((rates / 1000).square().sum() for rates in activity.rates)
        loss.backward()
        results.append([activity.output, *activity.rates, *(weight.grad for weight in network.weights)])
    for reference, fused in zip(*results, strict=True):
        torch.testing.assert_close(fused, reference, rtol=1e-4, atol=1e-4)


def test_rates_are_spikes_per_second():
    activity = make()(spikes(), record=True)
    counted = activity.hidden[0].spikes.sum(dim=1).mean(dim=0) / (40 * DT)
    torch.testing.assert_close(activity.rates[0], counted)


def test_counted_spikes_are_whole_numbers():
    output = make()(spikes(), "count").output
    assert torch.equal(output, output.round())
    assert output.sum() > 0


def test_each_layer_has_its_own_time_constant():
    same, other = make((7, 3), tau=(5e-3, 5e-3)), make((7, 3), tau=(5e-3, 1e-3))
    one, two = same(spikes(), record=True), other(spikes(), record=True)
    assert torch.equal(one.hidden[0].spikes, two.hidden[0].spikes)
    assert not torch.equal(one.hidden[1].membrane, two.hidden[1].membrane)
    assert decay(5e-3, DT) == pytest.approx(math.exp(-0.2))


def test_initial_weights_have_the_variance_of_their_fan_in():
    """Uniform in +-b has variance b^2 / 3; b = gain / sqrt(n), n the inputs, or the outputs."""
    for kind, sizes in (("fan_in", (500, 20)), ("fan_out", (20, 4))):
        settings = NetworkSettings(hidden=(20,), initial_weights=kind, weight_gain=2)
        network = Network(settings, 500, 4, DT, generator=torch.Generator().manual_seed(0))
        for weights, n in zip(network.weights, sizes, strict=True):
            assert float(weights.detach().var()) == pytest.approx(4 / n / 3, rel=0.2)
            assert float(weights.detach().abs().max()) <= 2 / math.sqrt(n)


def test_initial_weights_come_from_the_generator():
    def draw(seed):
        return uniform_weights(4, 3, 4, 1.0, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("bad", [spikes(neurons=5), spikes()[:, :0]])
def test_spikes_of_another_shape_are_refused(bad):
    with pytest.raises(UserError, match="expects at least one step of 6 fibres"):
        make()(bad)
