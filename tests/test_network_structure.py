"""Layers that are connected by channel, that are slow, or that receive a tonic current: against plain networks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc.analysis import matrices
from spikeloc.errors import UserError
from spikeloc.network import Network, NetworkSettings, sums_over_time
from spikeloc.neurons import fused, reference
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus
from spikeloc.stimuli.fibres import Fibres

DT = 1e-3
FREQUENCY = np.array([300.0, 100.0, 200.0, 100.0, 300.0, 200.0])  # out of order, two fibres to each


def fibres(frequency=FREQUENCY):
    n = len(frequency)
    ear, phase = np.arange(n) % 2, np.linspace(0, 2, n)
    return Fibres(ear, np.asarray(frequency), phase, np.full(n, 2.0), np.full(n, 0.9))


def make(hidden=(6, 4), engine="reference", kinds=None, **values):
    values = {"tau": 5e-3, "surrogate": "sigmoid", "slope": 3.0, "weight_gain": 3, "reset": "subtract"} | values
    known = fibres() if kinds is None else kinds
    made = NetworkSettings(hidden=hidden, engine=engine, **values)
    return Network(made, 6, 3, DT, generator=torch.Generator().manual_seed(0), fibres=known)


def spikes(n=4, steps=40, seed=1):
    return torch.rand(n, steps, 6, generator=torch.Generator().manual_seed(seed)) < 0.3


def with_weights(network, weights):
    with torch.no_grad():
        for own, given_ in zip(network.weights, weights, strict=True):
            own.copy_(given_)
    return network


@pytest.mark.parametrize("engine", ["reference", "fused"])
@pytest.mark.parametrize("kind", ["events", "tensor"])
def test_by_channel_is_a_matrix_with_zeros(engine, kind):
    network = make(by_channel=True, engine=engine)
    whole = [torch.from_numpy(matrix) for matrix in matrices(network)]
    plain = with_weights(make(engine=engine), whole)
    x = SpikeEvents.from_dense(spikes()) if kind == "events" else spikes()
    one, other = network(x, record=True), plain(x, record=True)
    torch.testing.assert_close(one.output, other.output)
    torch.testing.assert_close(one.hidden[0].spikes, other.hidden[0].spikes)
    assert one.hidden[0].spikes.sum() > 20
    # Neurons 0 and 1 listen to the fibres of 100 Hz, which are 1 and 3; and so on.
    connected = whole[0].abs() > 0
    expected = torch.tensor([[0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]] + [[0] * 6] * 3).bool()
    expected[3], expected[4], expected[5] = expected[1], expected[0], expected[2]
    assert torch.equal(connected, expected)


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_by_channel_gradients_are_those_of_the_matrix(engine):
    network = make(by_channel=True, engine=engine)
    plain = with_weights(make(engine=engine), [torch.from_numpy(matrix) for matrix in matrices(network)])
    for each in (network, plain):
        each(spikes()).output.square().sum().backward()
    for place, channel in enumerate(network.channels):
        expected = plain.weights[0].grad[channel][:, 2 * place : 2 * place + 2]
        torch.testing.assert_close(network.weights[0].grad[place], expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network.weights[1].grad, plain.weights[1].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("hidden", [(6, 4), (6, 4, 5)])
@pytest.mark.parametrize("output", ["mean", "max", "count"])
@pytest.mark.parametrize("tonic", [False, True])
def test_slow_layers_on_both_engines(hidden, output, tonic):
    results = []
    for engine in ("reference", "fused"):
        steps = (1, 3, 6)[: len(hidden)]
        network = make(hidden, engine, layer_steps=steps, tonic=tonic, output_tonic=tonic, by_channel=True)
        if tonic:
            with torch.no_grad():
                network.weights[1][-1] = 0.2
                network.weights[-1][-1] = 0.3
        activity = network(spikes(steps=41), output)
        activity.output.square().sum().backward()
        results.append([activity.output, *activity.rates, *(weights.grad for weights in network.weights)])
        assert all(rates.sum() > 0 for rates in activity.rates)
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_recording_a_slow_network_changes_nothing(engine):
    network = make(engine=engine, layer_steps=(1, 7))
    plain, recorded = network(spikes()), network(spikes(), record=True)
    torch.testing.assert_close(plain.output, recorded.output)
    assert recorded.trace.shape == (4, 40, 3)
    assert recorded.hidden[0].spikes.shape == (4, 40, 6)
    assert recorded.hidden[1].spikes.shape == (4, 6, 4)
    assert torch.equal(recorded.trace[:, 0], recorded.trace[:, 6])


def test_a_slow_layer_sees_counts_and_its_own_time_step():
    network = make(layer_steps=(1, 8))
    recorded = network(spikes(), record=True)
    counts = recorded.hidden[0].spikes.reshape(4, 5, 8, 6).sum(dim=2)
    neuron = network.settings.neurons()[1]
    sums = sums_over_time(5, network.settings.output_tau, 8 * DT, torch.float32, torch.device("cpu"))
    expected = reference.lif_layer(counts, network.weights[1], neuron, 8 * DT, time_weights=sums)
    torch.testing.assert_close(recorded.counts[1], expected.sums[0])
    other = reference.lif_layer(counts, network.weights[1], neuron, DT, time_weights=sums)  # with the wrong time step
    assert not torch.equal(recorded.counts[1], other.sums[0])


def test_a_tonic_current_is_a_fibre_that_always_spikes():
    network = make(tonic=True)
    assert network.weights[1].shape == (7, 4)
    assert not network.weights[1].detach()[-1].any()
    before = network(spikes()).counts[1].sum()
    with torch.no_grad():
        network.weights[1][-1] = 0.5
    activity = network(spikes(), record=True)
    assert activity.counts[1].sum() > before
    x = torch.cat([activity.hidden[0].spikes, torch.ones(4, 40, 1)], dim=-1)
    layer = reference.lif_layer(x, network.weights[1], network.settings.neurons()[1], DT, want_spikes=True)
    assert torch.equal(layer.spikes, activity.hidden[1].spikes)
    assert [matrix.shape for matrix in matrices(network)] == [(6, 6), (6, 4), (4, 3)]


@pytest.mark.parametrize("output", ["mean", "max", "count"])
def test_a_tonic_current_of_the_output_is_a_hidden_neuron_that_always_spikes(output):
    network = make(output_tonic=True)
    assert network.weights[1].shape == (6, 4)
    assert network.weights[2].shape == (5, 3)
    assert not network.weights[2].detach()[-1].any()
    with torch.no_grad():
        network.weights[2][-1] = torch.tensor([0.1, 0.4, -0.2])
    recorded = network(spikes(), output, record=True)
    x = torch.cat([recorded.hidden[-1].spikes, torch.ones(4, 40, 1)], dim=-1)
    trace = reference.leaky_trace(x, network.weights[2], network.settings.output_tau, DT)
    torch.testing.assert_close(recorded.trace, trace)
    expected = {"mean": trace.mean(dim=1), "max": trace.max(dim=1).values}
    if output == "count":
        sums = sums_over_time(40, network.settings.output_tau, DT, torch.float32, torch.device("cpu"))
        layer = reference.lif_layer(x, network.weights[2], network.settings.output_neuron(), DT, time_weights=sums)
        expected["count"] = layer.sums[0]
    torch.testing.assert_close(recorded.output, expected[output])
    torch.testing.assert_close(network(spikes(), output).output, expected[output])
    assert matrices(network)[2].shape == (4, 3)


def test_a_membrane_only_network_has_no_tonic_current():
    network = make((), output_tonic=True)
    assert [tuple(weights.shape) for weights in network.weights] == [(6, 3)]


def test_thresholds_are_shares_of_the_excitation():
    tone = ToneStimulus(fibres_per_ear=30)

    def drives(shares):
        settings = NetworkSettings(hidden=(2000,), initial_weights="coincidence", threshold_shares=shares)
        generator = torch.Generator().manual_seed(3)
        network = Network(settings, 60, 3, tone.dt, generator=generator, fibres=tone.fibres)
        return network.weights[0].detach().clamp(min=0).sum(dim=0)

    half = drives((0.5, 0.5)).numpy()
    usual = np.isclose(half, 2, rtol=1e-5)  # the others are excited by next to nothing, and stay silent
    assert usual.mean() > 0.8
    assert (half[~usual] < 2).all()
    shares = 1 / drives((0.2, 0.6)).numpy()[usual]
    assert shares.min() == pytest.approx(0.2, abs=0.002)
    assert shares.max() == pytest.approx(0.6, abs=0.002)
    assert shares.mean() == pytest.approx(0.4, abs=0.01)


def test_coincidence_weights_by_channel_have_their_gain():
    network = make(by_channel=True, initial_weights="coincidence", weight_gain=2.0)
    np.testing.assert_allclose(network.weights[0].detach().square().sum(dim=1), 4, rtol=1e-5)
    assert not network.weights[-1].detach().any()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"layer_steps": (1,)}, "for 2 hidden layers"),
        ({"layer_steps": (2, 4)}, "beginning with 1"),
        ({"hidden": (6, 4, 5), "layer_steps": (1, 4, 6)}, "a multiple of the one before"),
        ({"hidden": (), "by_channel": True}, "there is none"),
        ({"hidden": (7, 4), "by_channel": True}, "7 neurons among 3 channels"),
        ({"by_channel": True, "kinds": fibres([1, 1, 1, 1, 2, 2])}, "by_channel divides"),
    ],
)
def test_what_does_not_fit_is_refused(values, reason):
    with pytest.raises(UserError, match=reason):
        make(**values)


def test_by_channel_asks_what_fibres_are_tuned_to():
    with pytest.raises(UserError, match="what the fibres are tuned to"):
        Network(NetworkSettings(hidden=(6,), by_channel=True), 6, 3, DT, generator=torch.Generator())


# ---- what the engines do for it --------------------------------------------------------------------------------------


@given(st.integers(0, 4), st.integers(1, 9), st.integers(1, 5), st.integers(1, 6), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_events_are_split_as_a_tensor_is(sounds, steps, groups, size, density, seed):
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(sounds, steps, groups * size, generator=generator) < density
    order = torch.randperm(groups * size, generator=generator).reshape(groups, size).numpy()
    parts = SpikeEvents.from_dense(dense).split(order)
    assert len(parts) == groups
    for part, members in zip(parts, order, strict=True):
        assert torch.equal(part.to_dense(), dense[..., members])


@given(
    st.integers(1, 4),
    st.integers(1, 20) | st.integers(120, 140),
    st.integers(1, 70),
    st.integers(1, 150),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_counts_in_bins_and_their_gradients(sounds, steps, neurons, bin_steps, seed):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(sounds, steps, 9, generator=generator) < 0.3).float()
    weights = (torch.randn(9, neurons, generator=generator) * 400).round() / 1024  # sums are exact
    neuron = make().settings.neurons()[0]
    results = []
    for engine in (fused, reference):
        w, own = weights.clone().requires_grad_(), x.clone().requires_grad_()
        out = engine.lif_layer(own, w, neuron, DT, want_spikes=True, bin_steps=bin_steps).spikes
        assert out.shape == (sounds, -(-steps // bin_steps), neurons)
        (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
        results.append((out.detach(), w.grad, own.grad))
    assert torch.equal(results[0][0], results[1][0])
    for found, expected in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=3e-5 * float(expected.abs().max()) + 1e-30)


def test_bins_hold_every_spike_once():
    train = (torch.rand(2, 11, 3, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    for bin_steps in (1, 2, 4, 11, 20):
        counts = reference.binned(train, bin_steps)
        assert counts.shape[1] == -(-11 // bin_steps)
        torch.testing.assert_close(counts.sum(dim=1), train.sum(dim=1))
        torch.testing.assert_close(counts[:, 0], train[:, :bin_steps].sum(dim=1))


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 70), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_numbers_of_spikes_are_inputs_like_any(sounds, steps, inputs, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 5, (sounds, steps, inputs), generator=generator).float()
    weights = (torch.randn(inputs, 5, generator=generator) * 300).round() / 1024
    neuron = make().settings.neurons()[0]
    one, other = (
        engine.lif_layer(x, weights, neuron, DT, want_membrane=True, want_spikes=True) for engine in (fused, reference)
    )
    assert torch.equal(one.membrane, other.membrane)
    assert torch.equal(one.spikes, other.spikes)
