"""The cochlea is a gammatone filterbank, a hair cell that keeps the phase, and a synapse that saturates."""

import math
from importlib import util
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from spikeloc.errors import UserError
from spikeloc.stimuli.cochlea import BANDWIDTH, PEAK_PRESSURE, CochleaSettings, centre_frequencies, design, erb
from spikeloc.stimuli.kernels_cochlea import STATES
from spikeloc.stimuli.nerve import firing_rates

FINE = CochleaSettings(
    channels=8, fibres_per_channel=1, longest_delay=0, spontaneous=(0,), half_level=(40,), dt=5e-5, oversampling=1
)


def one_channel(frequency, **values):
    values = {"spontaneous": (0,), "half_level": (40,), "dt": 5e-5, "oversampling": 4} | values
    return CochleaSettings(channels=1, lowest=frequency, highest=frequency, **values)


def tone(frequency, level, cochlea, duration=0.3):
    time = np.arange(round(duration * cochlea.sample_rate)) / cochlea.sample_rate
    sound = PEAK_PRESSURE * 10 ** (level / 20) * np.cos(2 * np.pi * frequency * time)
    return np.stack([sound, sound])[None]


def noise(n, level=60.0, seed=1, sounds=1):
    rng = np.random.default_rng(seed)
    return (20e-6 * 10 ** (level / 20) * rng.standard_normal((sounds, 2, n))).astype(np.float32)


def steady(frequency, level, cochlea):
    """Rate in the last 0.1 s of a tone, a whole number of its cycles: [steps]."""
    rates, _ = firing_rates(tone(frequency, level, cochlea), cochlea)
    return rates[0, -round(0.1 / cochlea.dt) :, 0, 0].astype(float)


def vector_strength(rates, frequency, dt):
    return abs(rates @ np.exp(-2j * np.pi * frequency * dt * np.arange(len(rates)))) / rates.sum()


def filtered(sound, cochlea):
    """Output z of the filters after each sample of a sound: complex [channels, samples]."""
    state, outputs = None, []
    for sample in np.asarray(sound, dtype=np.float32):
        _, state = firing_rates(np.full((1, 2, 1), sample), cochlea, state)
        outputs.append(state[0, 6:8, : cochlea.channels].copy())
    re, im = np.moveaxis(outputs, 1, 0)
    return (re + 1j * im).T


@pytest.fixture(scope="module")
def response():
    """The filters' responses to an impulse, [channels, samples]."""
    return filtered(np.arange(1500) == 0, FINE)


# ---- filters ---------------------------------------------------------------------------------------------------------


def test_bandwidths_are_those_of_glasberg_and_moore():
    np.testing.assert_allclose(erb(np.array([0, 1000, 4000])), [24.7, 132.639, 456.456], rtol=1e-5)


def test_centres_are_evenly_spaced_in_bandwidths():
    """Between neighbours lie equally many of the bandwidths there: the integral of df / ERB(f) is the same."""
    centres = centre_frequencies(12, 100, 8000)
    assert (centres[0], centres[-1]) == (pytest.approx(100), pytest.approx(8000))
    between = [
        np.mean(1 / erb(low + (high - low) * (np.arange(10000) + 0.5) / 10000)) * (high - low)
        for low, high in pairwise(centres)
    ]
    np.testing.assert_allclose(between, between[0], rtol=1e-6)
    numbers = 21.4 * np.log10(1 + 4.37e-3 * centres)  # the ERB-number scale, as published
    np.testing.assert_allclose(np.diff(numbers), np.diff(numbers)[0], rtol=1e-6)


def test_impulse_response_is_that_of_four_complex_poles(response):
    """By the binomial series, 1 / (1 - p/z)^4 is the sum of (n+1)(n+2)(n+3)/6 p^n z^-n."""
    n, f, fs = np.arange(response.shape[1]), FINE.centre_frequencies[:, None], FINE.sample_rate
    radius = np.exp(-2 * np.pi * BANDWIDTH * erb(f) / fs)
    exact = 2 * (1 - radius) ** 4 * (n + 1) * (n + 2) * (n + 3) / 6 * radius**n * np.exp(2j * np.pi * f / fs * n)
    assert (np.abs(response - exact).max(axis=1) / np.abs(exact).max(axis=1)).max() < 1e-5


def test_impulse_response_is_a_gammatone(response):
    """t^3 exp(-2 pi b t) cos(2 pi f t), its envelope two samples earlier: (n+1)(n+2)(n+3) = (n+2)^3 - (n+2)."""
    f, fs = FINE.centre_frequencies[:, None], FINE.sample_rate
    n = np.arange(response.shape[1])
    time = (n + 2) / fs
    gammatone = time**3 * np.exp(-2 * np.pi * BANDWIDTH * erb(f) * time) * np.cos(2 * np.pi * f * n / fs)
    overlap = (response.real * gammatone).sum(axis=1)
    overlap /= np.sqrt((response.real**2).sum(axis=1) * (gammatone**2).sum(axis=1))
    assert (1 - overlap).max() < 1e-4
    wrong = time**2 * np.exp(-2 * np.pi * BANDWIDTH * erb(f) * time) * np.cos(2 * np.pi * f * n / fs)
    overlap = (response.real * wrong).sum(axis=1)
    overlap /= np.sqrt((response.real**2).sum(axis=1) * (wrong**2).sum(axis=1))
    assert (1 - overlap).min() > 0.01


def test_gain_is_one_at_the_centre_and_the_bandwidth_is_one_erb(response):
    length = 65536
    gain = np.abs(np.fft.fft(response, length)) / 2  # half of a tone is a positive frequency
    np.testing.assert_allclose(gain.max(axis=1), 1, rtol=1e-4)
    peak = gain.argmax(axis=1) * FINE.sample_rate / length
    np.testing.assert_allclose(peak, FINE.centre_frequencies, atol=0.5)
    bandwidth = (gain**2).sum(axis=1) * FINE.sample_rate / length
    np.testing.assert_allclose(bandwidth, erb(FINE.centre_frequencies), rtol=6e-3)


@pytest.mark.skipif(util.find_spec("gammatone") is None, reason="the package gammatone is not installed")
def test_filters_are_those_of_an_independent_implementation(response):
    filters = pytest.importorskip("gammatone.filters")
    sound = np.zeros(response.shape[1])
    sound[0] = 1
    theirs = filters.erb_filterbank(sound, filters.make_erb_filters(FINE.sample_rate, FINE.centre_frequencies))
    ours = response.real
    overlap = (ours * theirs).sum(axis=1) / np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum(axis=1))
    assert (1 - overlap).max() < 1e-3
    ours, theirs = (np.abs(np.fft.rfft(each, 32768)) for each in (ours, theirs))
    near = theirs > 0.1 * theirs.max(axis=1, keepdims=True)
    assert np.abs(20 * np.log10(ours[near] / theirs[near])).max() < 0.05


def in_double_precision(sound, cochlea):
    """The definition again: rates [steps, kinds, channels] of one ear, in float64 and by another library."""
    fs, rates = cochlea.sample_rate, []
    smoothing = 1 - math.exp(-2 * math.pi * cochlea.phase_locking / fs)
    for f in cochlea.centre_frequencies:
        radius = np.exp(-2 * np.pi * BANDWIDTH * erb(f) / fs)
        z = 2 * (1 - radius) ** 4 * sound
        for _ in range(4):
            z = lfilter([1], [1, -radius * np.exp(2j * np.pi * f / fs)], z)
        u = 4 * np.maximum(0, np.cos(np.angle(z))) ** 2
        for _ in range(2):
            u = lfilter([smoothing], [1, smoothing - 1], u)
        s = np.sqrt(np.abs(z))
        half = np.sqrt(PEAK_PRESSURE * 10 ** (np.array(cochlea.half_level) / 20))
        spontaneous = np.array(cochlea.spontaneous)
        drive = (s * u)[:, None] / (s[:, None] + half)
        rates.append(spontaneous + (cochlea.rate_max - spontaneous) * drive)
    return np.stack(rates, axis=-1)[cochlea.oversampling - 1 :: cochlea.oversampling]


@pytest.mark.parametrize(
    "values",
    [
        {"channels": 5},
        {"channels": 5, "lowest": 20, "highest": 300, "oversampling": 64},
        {"channels": 40, "phase_locking": 500, "dt": 2.5e-5, "oversampling": 1},
    ],
    ids=["default", "low", "many"],
)
def test_single_precision_is_enough(values):
    cochlea = CochleaSettings(**values)
    sound = noise(round(0.1 * cochlea.sample_rate))
    rates, _ = firing_rates(sound, cochlea)
    for ear in (0, 1):
        exact = in_double_precision(sound[0, ear].astype(float), cochlea)
        found = rates[0, ..., ear * cochlea.channels : (ear + 1) * cochlea.channels]
        assert np.abs(found - exact)[5:].max() < 1e-3 * cochlea.rate_max
        assert np.sqrt(np.mean((found - exact) ** 2)) < 1e-4 * cochlea.rate_max


@given(cuts=st.lists(st.integers(0, 120), max_size=6), oversampling=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_length_are_one_sound(cuts, oversampling):
    cochlea = CochleaSettings(channels=3, lowest=200, highest=3000, oversampling=oversampling)
    sound = noise(120 * oversampling, sounds=2)
    sound[0, :, 100:180] = 0
    whole, end = firing_rates(sound, cochlea)
    state, parts = None, []
    for first, last in pairwise([0, *sorted(cuts), 120]):
        part, state = firing_rates(sound[:, :, first * oversampling : last * oversampling], cochlea, state)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    np.testing.assert_array_equal(state, end)


def test_a_state_that_is_handed_in_stays_as_it_was():
    cochlea = CochleaSettings(channels=3)
    _, state = firing_rates(noise(100), cochlea)
    before = state.copy()
    firing_rates(noise(100, seed=2), cochlea, state)
    np.testing.assert_array_equal(state, before)


def test_ears_are_alike():
    cochlea = CochleaSettings(channels=17)
    sound = noise(600)
    rates, _ = firing_rates(np.concatenate([sound, sound[:, ::-1]]), cochlea)
    np.testing.assert_array_equal(rates[0, :, :, :17], rates[1, :, :, 17:])
    np.testing.assert_array_equal(rates[0, :, :, 17:], rates[1, :, :, :17])


# ---- hair cell and synapse -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency", [200, 500, 1000, 2000, 4000])
def test_vector_strength_is_that_of_a_squared_half_wave_behind_two_low_pass_filters(frequency):
    """|sum of cos^2 cos| / sum of cos^2 over the positive half wave is (4/3) / (pi/2) = 8 / (3 pi)."""
    cochlea = one_channel(frequency)
    found = vector_strength(steady(frequency, 60, cochlea), frequency, cochlea.dt)
    a = 1 - float(design(cochlea).smoothing)
    gain = (1 - a) / abs(1 - a * np.exp(-2j * np.pi * frequency / cochlea.sample_rate))
    assert found == pytest.approx(8 / (3 * math.pi) * gain**2, rel=2e-3)
    assert found == pytest.approx(8 / (3 * math.pi) / (1 + (frequency / 2000) ** 2), rel=0.04)
    other = one_channel(frequency, phase_locking=20_000)
    unfiltered = vector_strength(steady(frequency, 60, other), frequency, cochlea.dt)
    assert found < unfiltered < 0.86


@pytest.mark.parametrize("level", [0, 40, 90])
def test_vector_strength_does_not_depend_on_the_level(level):
    cochlea = one_channel(500)
    found = vector_strength(steady(500, level, cochlea), 500, cochlea.dt)
    assert found == pytest.approx(vector_strength(steady(500, 60, cochlea), 500, cochlea.dt), abs=1e-3)


def test_spontaneous_spikes_keep_to_no_phase():
    """So the vector strength is that of the driven spikes times their share."""
    spontaneous = one_channel(500, spontaneous=(50,))
    for level in (0, 20, 60):
        rates = steady(500, level, spontaneous)
        share = (rates.mean() - 50) / rates.mean()
        alone = vector_strength(steady(500, 60, one_channel(500)), 500, spontaneous.dt)
        assert vector_strength(rates, 500, spontaneous.dt) == pytest.approx(alone * share, abs=2e-3)


@pytest.mark.parametrize(("spontaneous", "half_level"), [(0, 40), (20, 40), (1, 65)])
def test_rate_follows_the_level_up_to_saturation(spontaneous, half_level):
    """With s = sqrt(amplitude): s / (s + s_half) = 1 / (1 + 10^((half_level - level) / 40))."""
    cochlea = one_channel(1000, spontaneous=(spontaneous,), half_level=(half_level,))
    levels = np.array([-80, 0, 20, 40, 60, half_level, 80, 100, 180])
    found = np.array([steady(1000, level, cochlea).mean() for level in levels])
    expected = spontaneous + (250 - spontaneous) / (1 + 10 ** ((half_level - levels) / 40))
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert (np.diff(found[np.argsort(levels, kind="stable")]) >= 0).all()
    assert found[5] == pytest.approx((spontaneous + 250) / 2, rel=2e-3)
    assert found[-1] == pytest.approx(250, rel=5e-3)


def test_a_tone_excites_the_channel_around_it_most():
    cochlea = CochleaSettings(channels=16)
    for channel in (0, 5, 10, 15):
        frequency = cochlea.centre_frequencies[channel]
        rates, _ = firing_rates(tone(frequency, 50, cochlea), cochlea)
        assert rates[0, 1500:].mean(axis=(0, 1))[:16].argmax() == channel


def test_silence_leaves_the_spontaneous_rate():
    cochlea = CochleaSettings(channels=5)
    rates, state = firing_rates(np.zeros((2, 2, 200)), cochlea)
    np.testing.assert_allclose(rates, np.broadcast_to(np.array([[20], [1]]), rates.shape), rtol=1e-6)
    assert not state.any()


@pytest.mark.parametrize("silent", [(0,), (1,), (0, 1)], ids=["left", "right", "both"])
def test_digital_silence_ends_in_zeros_not_in_denormal_numbers(silent):
    cochlea = CochleaSettings(channels=16)
    sound = noise(40_000)
    sound[:, silent, 2_000:] = 0
    rates, state = firing_rates(sound, cochlea)
    for ear in silent:
        assert not state[0, :, 16 * ear : 16 * (ear + 1)].any()
        np.testing.assert_allclose(rates[0, -1, :, 16 * ear : 16 * (ear + 1)].T, [[20, 1]] * 16, rtol=1e-6)
    assert not (np.abs(state[state != 0]) < np.finfo(np.float32).tiny).any()


@given(amplitude=st.floats(-44, 4).map(lambda power: 10.0**power), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_no_sound_is_so_faint_or_so_loud_that_rates_leave_their_range(amplitude, seed):
    """u is an average of 4 cos^2: at most 4, also where squares of single precision underflow."""
    cochlea = CochleaSettings(channels=4)
    sound = np.float32(amplitude) * np.random.default_rng(seed).standard_normal((1, 2, 200)).astype(np.float32)
    rates, state = firing_rates(sound, cochlea)
    assert np.isfinite(state).all()
    assert state[:, STATES - 2 :].max() <= 4.001
    assert rates.min() >= 0
    assert rates.max() <= 4.001 * 250


@pytest.mark.skipif(util.find_spec("brucezilany") is None, reason="the package brucezilany is not installed")
def test_a_detailed_model_of_the_nerve_behaves_alike():
    """Bruce, Erfani & Zilany 2018: locking to the phase fades with frequency, not with level; rates saturate."""
    model = pytest.importorskip("brucezilany")

    def theirs(frequency, level, spontaneous=100.0, sounds=30):
        wave = model.stimulus.ramped_sine_wave(0.2, 0.24, 100_000, 2.5e-3, 0.0, frequency, level)
        cell = model.inner_hair_cell(wave, cf=frequency, n_rep=sounds, species=model.Species.HUMAN_SHERA)
        mapped = model.map_to_synapse(cell, spontaneous, frequency, wave.time_resolution, model.SynapseMapping.SOFTPLUS)
        nerve = model.synapse(
            mapped, frequency, sounds, wave.n_simulation_timesteps, wave.time_resolution, model.NoiseType.FIXED_SEED,
            model.PowerLaw.APPROXIMATED, spontaneous, 0.0007, 0.0006,
        )  # fmt: skip
        spikes = np.array(nerve.psth)[10_000:20_000]
        return vector_strength(spikes, frequency, 1e-5), spikes.sum() / sounds / 0.1

    cochlea = [one_channel(f, spontaneous=(20,)) for f in (500, 1000, 2000, 4000)]
    ours = [vector_strength(steady(c.lowest, 60, c), c.lowest, c.dt) for c in cochlea]
    other = [theirs(c.lowest, 60)[0] for c in cochlea]
    assert np.abs(np.subtract(ours, other)).max() < 0.2
    assert (np.diff(other) < 0).all()
    assert (np.diff(ours) < 0).all()
    levels = (0, 20, 60, 80)
    rates, strengths = zip(*[theirs(1000, level)[::-1] for level in levels], strict=True)
    for curve in (rates, [steady(1000, level, cochlea[1]).mean() for level in levels]):
        assert curve[0] < curve[1] < curve[2]
        assert abs(curve[3] - curve[2]) < 0.25 * (curve[2] - curve[0])
    assert np.ptp(strengths[1:]) < 0.1


# ---- settings --------------------------------------------------------------------------------------------------------


def test_fibres_are_counted_and_delays_are_spread_evenly():
    cochlea = CochleaSettings(channels=3, fibres_per_channel=4, longest_delay=0.9e-3)
    assert cochlea.n_fibres == 24
    assert cochlea.delay_steps.tolist() == [0, 3, 6, 9]
    assert CochleaSettings(fibres_per_channel=1).delay_steps.tolist() == [0]
    assert cochlea.sample_rate == 20_000


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"lowest": "9 kHz"}, "highest 8000 Hz is not above lowest 9000 Hz"),
        ({"lowest": "8 kHz"}, "is not above"),
        ({"oversampling": 1}, "shorter dt or more oversampling"),
        ({"dt": "1 ms"}, "shorter dt or more oversampling"),
        ({"spontaneous": ["1 Hz"]}, "lists 1 kinds of fibre and half_level 2"),
        ({"spontaneous": [], "half_level": []}, "give each kind one of both"),
        ({"spontaneous": ["300 Hz", "1 Hz"]}, "at least every spontaneous rate"),
        ({"rate_max": "2600 Hz"}, "a quarter of a spike"),
        ({"channels": 256, "fibres_per_channel": 200}, "more than 32768 at each ear; choose fewer"),
        ({"channels": 0}, "channels"),
        ({"refractory": "-1 ms"}, "refractory"),
        ({"half_level": [40, 65]}, "has no unit"),
        ({"chanels": 3}, "did you mean 'channels'"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(values, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        CochleaSettings.read(values)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("shape", [(2, 100), (1, 1, 100), (1, 100, 2)])
def test_sounds_of_another_shape_are_refused(shape):
    with pytest.raises(UserError, match="left ear first"):
        firing_rates(np.zeros(shape), CochleaSettings())


def test_samples_that_fill_no_step_are_left_out():
    cochlea = CochleaSettings(channels=2, oversampling=4)
    sound = noise(43)
    rates, _ = firing_rates(sound, cochlea)
    np.testing.assert_array_equal(rates, firing_rates(sound[:, :, :40], cochlea)[0])
    assert rates.shape == (1, 10, 2, 4)
