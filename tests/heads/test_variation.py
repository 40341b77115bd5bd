"""Variations of a head: another size, mirrored or not, gains of their own, and delays that only size changes."""

import dataclasses
import math

import numpy as np
import pytest

from spikeloc.heads import load_head, varied
from spikeloc.heads.variation import LOWEST, OCTAVES, _gains


def variation(seed, sizes=(1.0, 1.0), amplitude=0.0, name="kemar"):
    return varied(load_head(name), np.random.default_rng(seed), sizes, amplitude)


def test_half_are_mirrored_and_nothing_else_changes_without_size_and_gain():
    kemar = load_head("kemar")  # which is as good as symmetric
    head = dataclasses.replace(kemar, responses=kemar.responses * np.float32([[1], [0.5]]))
    mirrored = 0
    for seed in range(40):
        found = varied(head, np.random.default_rng(seed), (1.0, 1.0), 0.0)
        same = np.allclose(found.responses, head.responses, atol=1e-6)
        other = np.allclose(found.responses, head.mirrored().responses, atol=1e-6)
        assert same != other
        mirrored += other
    assert 10 <= mirrored <= 30


def test_sizes_are_even_on_a_logarithmic_scale_within_their_range():
    rate = load_head("spherical").sample_rate
    sizes = np.array([rate / variation(seed, (0.8, 1.25), name="spherical").sample_rate for seed in range(80)])
    assert sizes.min() > 0.8
    assert sizes.max() < 1.25
    assert np.histogram(np.log(sizes), np.log([0.8, 0.894, 1, 1.118, 1.25]))[0].min() >= 9


def test_gains_have_their_spread_at_each_frequency():
    head, points = load_head("spherical"), 8192
    gains = np.stack([_gains(head, np.random.default_rng(seed), points) for seed in range(150)])
    frequency = np.fft.rfftfreq(points, 1 / head.sample_rate)
    at_knots = [np.abs(frequency - LOWEST * 2**octave).argmin() for octave in range(1, OCTAVES)]
    found = gains[..., at_knots].std(axis=(0, 1, 2))
    exact = math.sqrt(4 / 7) * np.clip(np.log2(np.maximum(frequency[at_knots], LOWEST) / LOWEST) / 5, 0.1, 1)
    np.testing.assert_allclose(found, exact, rtol=0.15)
    assert abs(np.corrcoef(gains[:, 20, 0, 900], gains[:, 20, 1, 900])[0, 1]) < 0.25  # ears differ


def test_gains_change_levels_and_not_delays():
    head = load_head("spherical")
    found = variation(3, amplitude=3.0, name="spherical")  # of a sphere, mirrored or not
    assert not np.allclose(found.responses, head.responses, atol=1e-3)
    assert np.abs(found.itd(np.radians([-60, 0, 40])) - head.itd(np.radians([-60, 0, 40]))).max() < 20e-6
    np.testing.assert_allclose(found.delays, head.delays, atol=1e-12)
    frequency = np.fft.rfftfreq(1024, 1 / head.sample_rate)
    ratio = np.abs(np.fft.rfft(found.responses, 1024)) / np.abs(np.fft.rfft(head.responses, 1024))
    change = 20 * np.log10(ratio[..., (frequency > 4000) & (frequency < 9000)])
    assert 1.5 < change.std() < 3.5


@pytest.mark.parametrize("size", [0.9, 1.2])
def test_delays_grow_with_size(size):
    head, found = load_head("spherical"), variation(1, (size, size), name="spherical")
    azimuths = np.radians([20, 50, 80])
    assert found.itd(azimuths) == pytest.approx(head.itd(azimuths) * size, rel=0.06)  # its low-pass does not grow
    np.testing.assert_allclose(np.ptp(found.delays), np.ptp(head.delays) * size)
    assert math.isclose(found.sample_rate, head.sample_rate / size)
