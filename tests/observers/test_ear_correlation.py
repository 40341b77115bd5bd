"""Correlations of the ears find the exact delay, and the azimuth by the table of the head."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc.angles import class_of_angle
from spikeloc.errors import UserError
from spikeloc.heads import load_head
from spikeloc.observers import ear_correlation
from spikeloc.observers.ear_correlation import EarCorrelation, ear_observers, peak_lag
from spikeloc.stimuli import SceneStimulus
from spikeloc.stimuli.rendering import render

RATE = 20_000.0
METHODS = {"gcc_phat": True, "ear_correlation": False}


@pytest.fixture(params=METHODS)
def phat(request):
    return METHODS[request.param]


def delayed(delay, *, band=1.0, n=2000, seed=0):
    """Noise up to a part of half the sample rate that reaches the right ear earlier by a delay: [2, n + 200].

    Exact, by the shift theorem; the band ends smoothly, so that no sound is cut off at the ends.
    """
    length = 4096
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    noise = np.random.default_rng(seed).standard_normal(n) * np.hanning(n)
    fall = np.clip((frequency / (band * RATE / 2) - 0.7) / 0.3, 0, 1) if band < 1 else 0 * frequency
    spectrum = np.fft.rfft(noise, length) * np.cos(math.pi / 2 * fall) ** 2
    late = 2e-3 + np.maximum([delay, -delay], 0)
    ears = np.fft.irfft(spectrum * np.exp(-2j * np.pi * frequency * late[:, None]), length)
    return ears[:, : n + 200].astype(np.float32)


def noise_from(azimuths, head, duration=0.2, rate=RATE):
    """White noise, another for each azimuth."""
    samples = round(duration * rate)
    return np.stack(
        [
            render(np.random.default_rng(i).standard_normal(samples), head, azimuth, rate)
            for i, azimuth in enumerate(azimuths)
        ]
    )


@given(delays=st.lists(st.floats(-9e-4, 9e-4), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_fractional_delays_are_exact(delays, seed):
    ears = np.stack([delayed(delay, seed=seed + i) for i, delay in enumerate(delays)])
    for phat in METHODS.values():
        np.testing.assert_allclose(peak_lag(ears, RATE, phat=phat), delays, atol=1e-6)
        np.testing.assert_allclose(peak_lag(ears[:, ::-1], RATE, phat=phat), np.negative(delays), atol=1e-6)
        np.testing.assert_allclose(peak_lag(1e-3 * ears, RATE, phat=phat), delays, atol=1e-6)


@pytest.mark.parametrize("band", [0.3, 0.8])
def test_bands_of_noise_are_exact_within_two_microseconds(phat, band):
    """Where there is no sound, noise of rounding has phases of its own, which must not count."""
    delays = np.linspace(-9e-4, 9e-4, 19) + 3.3e-6
    ears = np.stack([delayed(delay, band=band) for delay in delays])
    assert np.abs(peak_lag(ears, RATE, phat=phat) - delays).max() < 2e-6


def test_uncorrelated_noise_at_the_ears_is_the_only_thing_that_makes_errors(phat):
    rng = np.random.default_rng(1)
    ears = np.stack([delayed(2e-4, seed=i) for i in range(20)])
    noisy = ears + 0.1 * ears.std() * rng.standard_normal(ears.shape).astype(np.float32)
    lags = peak_lag(noisy, RATE, phat=phat)
    assert 0 < np.abs(lags - 2e-4).max() < 5e-6


def test_silence_of_an_ear_has_no_lag(phat):
    ears = np.stack([delayed(3e-4)] * 4)
    ears[0], ears[1, 0], ears[2, 1] = 0, 0, 0
    lags = peak_lag(ears, RATE, phat=phat)
    assert lags[:3].tolist() == [0, 0, 0]
    assert lags[3] == pytest.approx(3e-4, abs=1e-7)
    assert peak_lag(ears[:0], RATE, phat=phat).shape == (0,)


@pytest.mark.parametrize("samples", [1, 2, 7, 20, 21, 100])
def test_sounds_shorter_than_the_longest_lag_have_one_too(phat, samples):
    ears = np.zeros((2, 2, samples), dtype=np.float32)
    ears[0, :, samples // 2] = 1
    ears[1, 0, samples - 1] = ears[1, 1, max(0, samples - 4)] = 1
    np.testing.assert_allclose(peak_lag(ears, RATE, phat=phat), [0, min(3, samples - 1) / RATE], atol=2e-6)


def test_tables_rise_with_the_azimuth_and_are_those_of_the_head(phat):
    head = load_head("kemar")
    azimuths, lags = ear_correlation._table(head, phat, RATE, math.pi / 2)
    assert (np.diff(azimuths) > 0).all()
    assert (np.diff(lags) > 0).all()
    assert len(azimuths) == 181
    np.testing.assert_allclose(lags, -lags[::-1], atol=1e-6)
    middle = np.abs(azimuths) < 1.2
    assert np.abs(lags - head.itd(azimuths))[middle].max() < 120e-6  # high frequencies have smaller delays


def test_azimuths_of_noise_are_found_within_a_degree(phat):
    head = load_head("kemar")
    azimuths = np.radians(np.linspace(-72, 72, 25) + 0.37)
    observer = EarCorrelation(head, phat, RATE, 12, math.pi / 2)
    ears = noise_from(azimuths, head)
    found = observer.localise(ears)
    assert np.abs(np.degrees(found.numpy() - azimuths)).max() < 1
    decision = observer.decide_ears(ears)
    assert torch.equal(decision.angle, found)
    assert torch.equal(decision.label, class_of_angle(found, 12, math.pi / 2))
    swapped = observer.localise(ears[:, ::-1]).numpy()
    assert np.abs(np.degrees(swapped - azimuths))[np.abs(azimuths) > 0.1].min() > 5
    np.testing.assert_allclose(swapped, -found, atol=math.radians(0.5))


def test_another_heads_table_is_worse(phat):
    head = load_head("kemar")
    azimuths = np.radians(np.linspace(-60, 60, 13))
    ears = noise_from(azimuths, head)
    errors = [
        np.abs(EarCorrelation(table, phat, RATE, 12, math.pi / 2).localise(ears).numpy() - azimuths).mean()
        for table in (head, head.scaled(0.8))
    ]
    assert errors[1] > 5 * errors[0]


def test_estimates_stay_within_the_range(phat):
    observer = EarCorrelation(load_head("kemar"), phat, RATE, 6, 0.5)
    ears = np.stack([delayed(-9e-4), delayed(9e-4)])
    np.testing.assert_allclose(observer.localise(ears), [-0.5, 0.5])
    assert observer.decide_ears(ears).label.tolist() == [0, 5]


def test_observers_of_a_scene():
    observers = ear_observers(SceneStimulus(heads=("spherical", "kemar"), max_azimuth=math.pi), 12)
    assert {name: each.phat for name, each in observers.items()} == METHODS
    for each in observers.values():
        assert (each.head.name, each.limit, each.sample_rate) == (load_head("spherical").name, math.pi / 2, RATE)
    other = ear_observers(SceneStimulus(), 12, head="spherical:9 cm")["gcc_phat"]
    assert other.head.name == load_head("spherical:9 cm").name


def test_sounds_of_another_shape_are_refused(phat):
    observer = EarCorrelation(load_head("kemar"), phat, RATE, 6, 0.5)
    with pytest.raises(UserError, match="left ear first"):
        observer.localise(np.zeros((3, 100)))
