"""Initial weights: neurons that fire most for a phase difference of their own, and a first answer of "anywhere"."""

import math

import numpy as np
import pytest
import torch

from spikeloc.errors import UserError
from spikeloc.initial_weights import OFFSET, Detectors, coincidence_weights, uniform_weights
from spikeloc.network import Network, NetworkSettings
from spikeloc.stimuli import Fibres, SceneStimulus, ToneStimulus


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def even_fibres(n=12, frequencies=(500.0,), reach=2.0, locking=1.0):
    """Fibres of both ears whose phases are spread evenly over the circle, for each frequency."""
    phase = np.tile(2 * np.pi * np.arange(n) / n, 2 * len(frequencies))
    frequency = np.tile(np.repeat(frequencies, n), 2)
    ones = np.ones(len(phase))
    return Fibres(np.repeat([0, 1], n * len(frequencies)), frequency, phase, reach * ones, locking * ones)


def weights_of(fibres, n_neurons, gain=1.0, seed=0, harmonics=1):
    return coincidence_weights(fibres, n_neurons, Detectors(gain, harmonics=harmonics), seeded(seed)).double().numpy()


def favourites(weights, fibres):
    """Phase difference that the weights themselves name: by how much the right ear's favourite phase is ahead."""
    left, right = (np.exp(1j * fibres.phase[fibres.ear == ear]) @ weights[fibres.ear == ear] for ear in (0, 1))
    return np.angle(right / left)


def modulation(weights, drive):
    """Amplitude of the input of each neuron at the tone's frequency: drive [difference, fibre] complex."""
    return np.abs(drive @ weights)


DIFFERENCES = np.radians(np.arange(-180, 180, 2.0))


def best_difference(weights, fibres):
    """Of tones whose right ear leads by each difference, which modulates the input of a neuron most: [neuron]."""
    ear, phase = fibres.ear, fibres.phase
    # The rate 1 + cos(w t + ear difference - phase) has the phasor exp(i (ear difference - phase)).
    drive = np.exp(1j * (ear * DIFFERENCES[:, None] - phase))
    return DIFFERENCES[modulation(weights, drive).argmax(axis=0)]


def test_a_tone_moves_a_neuron_most_at_its_favourite_phase_difference():
    fibres = even_fibres()
    weights = weights_of(fibres, 200)
    favourite = favourites(weights, fibres)
    np.testing.assert_allclose(best_difference(weights, fibres), favourite, atol=math.radians(1.01))
    drive = np.exp(1j * (fibres.ear * DIFFERENCES[:, None] - fibres.phase))
    # |1 + exp(i (difference - favourite))| = 2 |cos of half of it|: the answer of a coincidence detector.
    expected = np.abs(np.cos((DIFFERENCES[:, None] - favourite) / 2))
    found = modulation(weights, drive)
    np.testing.assert_allclose(found / found.max(axis=0), expected, atol=1e-3)


@pytest.mark.parametrize(("reach", "largest"), [(1.2, 2.4), (2.0, math.pi)])
def test_favourites_fill_twice_what_the_stimulus_can_make_up_to_half_a_turn(reach, largest):
    fibres = even_fibres(reach=reach)
    weights = weights_of(fibres, 2000)
    favourite = favourites(weights, fibres)
    assert np.abs(favourite).max() <= largest + 1e-6
    assert (np.histogram(favourite, 8, (-largest, largest))[0] > 180).all()


def test_ears_exchanged_exchange_the_favourites():
    fibres = even_fibres(reach=0.6)
    weights = weights_of(fibres, 200)
    swapped = Fibres(1 - fibres.ear, fibres.frequency, fibres.phase, fibres.reach, fibres.locking)
    favourite = favourites(weights, fibres)
    np.testing.assert_allclose(best_difference(weights, swapped), -favourite, atol=math.radians(1.01))


def test_each_neuron_listens_around_a_frequency_of_its_own():
    frequencies = tuple(100.0 * np.arange(1, 9))
    fibres = even_fibres(frequencies=frequencies)
    weights = weights_of(fibres, 16)
    energy = np.stack([(weights[fibres.frequency == f] ** 2).sum(axis=0) for f in frequencies])
    centre = (np.arange(8) @ energy) / energy.sum(axis=0)
    assert (np.diff(centre) > 0).all()
    assert centre[0] < 1
    assert centre[-1] > 6
    # exp(-x^2 / 2) in weights, its square in energies, for every neuron in the middle
    middle = energy[:, 7] / energy[3, 7]
    place = 7.5 / 16 * 8 - 0.5
    expected = np.exp(-((np.arange(8) - place) ** 2) + (3 - place) ** 2)
    np.testing.assert_allclose(middle, expected, rtol=1e-4)


@pytest.mark.parametrize("locking", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_the_sum_of_squares_is_that_of_the_gain(locking, gain):
    weights = weights_of(even_fibres(frequencies=(200.0, 900.0), locking=locking), 30, gain)
    np.testing.assert_allclose((weights**2).sum(axis=0), gain**2, rtol=1e-5)


def test_where_spikes_keep_to_no_phase_the_ears_are_compared():
    """Then each ear has a weight of its own, the same for all phases but for a little noise."""
    fibres = even_fibres(n=100, locking=0.0)
    weights = weights_of(fibres, 300)
    means = np.stack([weights[fibres.ear == ear].mean(axis=0) for ear in (0, 1)])
    within = np.stack([weights[fibres.ear == ear].std(axis=0) for ear in (0, 1)])
    assert abs(np.corrcoef(means)[0, 1]) < 0.2
    assert np.median(np.abs(means - means.mean(axis=1, keepdims=True)) / within) > 2
    timed = np.abs(np.exp(1j * fibres.phase) @ weights) / np.linalg.norm(weights, axis=0)
    assert timed.max() < 3 * math.sqrt(200) * 0.15 + 1


def test_tones_and_scenes_say_what_their_fibres_are_tuned_to():
    """Phases that fill only part of the circle blur favourites, but these still order the neurons."""
    tone = ToneStimulus(duration=0.1, dt=0.001, fibres_per_ear=20)
    weights = weights_of(tone.fibres, 60)
    angles = torch.linspace(-math.pi / 2, math.pi / 2, 37, dtype=torch.float64)
    probability = tone.spike_probability(angles, torch.zeros(37)).numpy()
    turn = np.exp(-1j * tone.step_angle * np.arange(tone.n_steps))
    best = angles[modulation(weights, np.einsum("t,btf->bf", turn, probability)).argmax(axis=0)].numpy()
    assert np.corrcoef(best, favourites_by_draw(tone.fibres, 60))[0, 1] > 0.7
    scene = SceneStimulus()
    assert weights_of(scene.fibres, 8).shape == (scene.n_fibres, 8)


def favourites_by_draw(fibres, n_neurons):
    """The favourites as they are drawn: the second numbers of the generator."""
    generator = seeded()
    _, second = (2 * torch.rand(n_neurons, generator=generator, dtype=torch.float64) - 1 for _ in range(2))
    return second.numpy() * fibres.reach[0]


def test_gains_spread_evenly_on_a_logarithmic_scale():
    fibres = even_fibres()
    weights = coincidence_weights(fibres, 4000, Detectors(2.0, 8.0), seeded()).numpy()
    octaves = np.log2(2.0 / np.linalg.norm(weights, axis=0))
    assert octaves.min() > -1e-5
    assert octaves.max() < 3 + 1e-5
    assert (np.histogram(octaves, 6, (0, 3))[0] > 550).all()
    # Only the gains differ from what they are without a spread.
    alike = coincidence_weights(fibres, 4000, Detectors(2.0), seeded()).numpy()
    cosines = (weights * alike).sum(axis=0) / (np.linalg.norm(weights, axis=0) * np.linalg.norm(alike, axis=0))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_the_generator_decides():
    fibres = even_fibres()
    np.testing.assert_array_equal(weights_of(fibres, 9, seed=4), weights_of(fibres, 9, seed=4))
    assert np.abs(weights_of(fibres, 9, seed=4) - weights_of(fibres, 9, seed=5)).max() > 0.1
    torch.testing.assert_close(uniform_weights(5, 3, 5, 1.0, seeded(2)), uniform_weights(5, 3, 5, 1.0, seeded(2)))


def network(hidden, fibres, **values):
    settings = NetworkSettings(hidden=hidden, initial_weights="coincidence", tau=0.001, **values)
    return Network(settings, 24, 5, 1e-4, generator=seeded(), fibres=fibres)


def test_only_the_first_layer_detects_coincidences_and_the_first_answer_is_anywhere():
    fibres = even_fibres()
    net = network((20, 7), fibres, weight_gain=2.0)
    first, second, output = (weights.detach() for weights in net.weights)
    np.testing.assert_allclose(first.square().sum(dim=0), 4, rtol=1e-5)
    assert second.abs().max() <= 2 / math.sqrt(20)
    assert second.std() == pytest.approx(2 / math.sqrt(60), rel=0.15)
    assert not output.any()
    spikes = torch.rand(3, 200, 24, generator=seeded(1)) < 0.1
    activity = net(spikes)
    assert not activity.output.any()
    activity.output.square().sum().backward()
    (net(spikes).output - 1).square().sum().backward()
    assert net.weights[-1].grad.abs().max() > 0  # it can learn from there
    assert not network((), fibres).weights[0].any()


def test_without_knowledge_of_the_fibres_it_is_refused():
    with pytest.raises(UserError, match=r"network\.initial_weights is 'coincidence', which needs to know"):
        network((20,), None)


def test_a_group_shares_its_weights_and_its_thresholds_are_evenly_spaced():
    fibres = even_fibres()
    kind = Detectors(shares=(0.1, 0.7), levels=12)
    weights = coincidence_weights(fibres, 60, kind, seeded()).double().numpy().reshape(24, 5, 12)
    shares = 1 / np.maximum(weights, 0).sum(axis=0)  # of the excitation that reaches the threshold, 1
    np.testing.assert_allclose(shares, np.tile(0.1 + 0.6 * (np.arange(12) + 0.5) / 12, (5, 1)), rtol=1e-5)
    alike = weights * shares
    np.testing.assert_allclose(alike, np.tile(alike[:, :, :1], (1, 1, 12)), atol=1e-6)
    assert np.abs(alike[:, 0] - alike[:, 1]).max() > 0.01


def test_harmonics_over_the_phase_are_equally_strong():
    fibres = even_fibres(n=32)
    weights = weights_of(fibres, 50, harmonics=3)
    for ear in (0, 1):
        parts = np.abs(np.fft.rfft(weights[fibres.ear == ear], axis=0)) / 32
        np.testing.assert_allclose(parts[1:4] / parts[1], 1, rtol=1e-4)
        np.testing.assert_allclose(parts[0] / parts[1], 2 * OFFSET, rtol=1e-4)
        assert np.abs(parts[4:]).max() < 1e-6
    # Each of them comes from the right ear with n times the favourite difference.
    left, right = (np.fft.rfft(weights[fibres.ear == ear], axis=0)[1:4] for ear in (0, 1))
    turned = np.angle(left / right)
    np.testing.assert_allclose(np.exp(2j * turned[0]), np.exp(1j * turned[1]), atol=1e-4)
    np.testing.assert_allclose(np.exp(3j * turned[0]), np.exp(1j * turned[2]), atol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden": (12, 4)}, "needs one hidden layer"),
        ({"threshold_shares": None}, "needs one hidden layer, .* threshold_shares"),
        ({"by_channel": True}, "by_channel = false"),
        ({"initial_weights": "fan_in"}, "initial_weights = 'coincidence'"),
        ({"hidden": (30,)}, "30 hidden neurons cannot be divided into groups of that size"),
    ],
)
def test_levels_need_groups(values, message):
    good = {"hidden": (24,), "initial_weights": "coincidence", "threshold_shares": (0.1, 0.7), "levels": 12}
    assert NetworkSettings(**good).levels == 12
    with pytest.raises(UserError, match=message):
        NetworkSettings(**(good | values))
