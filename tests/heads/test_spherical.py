"""The rigid sphere against the limits known in closed form."""

import math

import numpy as np
import pytest
import torch

from spikeloc.azimuth import HEAD_RADIUS, SPEED_OF_SOUND, itd_of_azimuth
from spikeloc.heads import load_head
from spikeloc.heads.spherical import arrival, sphere_pressure

CROSSING = HEAD_RADIUS / SPEED_OF_SOUND


def itd(frequency, azimuth):
    """Interaural phase delay, positive when the right ear leads."""
    both = sphere_pressure(np.atleast_1d(frequency), np.array([math.pi / 2 + azimuth, math.pi / 2 - azimuth]))
    return np.angle(both[1] * both[0].conj()) / (2 * math.pi * frequency)


@pytest.mark.parametrize("azimuth", [0.1, 0.5, 1.0])
def test_low_frequencies_have_kuhns_itd(azimuth):
    """3 (radius / c) sin azimuth. Source: Kuhn 1977."""
    assert itd(50.0, azimuth)[0] == pytest.approx(3 * CROSSING * math.sin(azimuth), rel=0.01)


@pytest.mark.parametrize("azimuth", [0.3, 0.8, 1.2])
def test_high_frequencies_have_woodworths_itd(azimuth):
    """Group delay of the interaural phase: phases wrap, so their slope is compared."""
    frequency = np.linspace(6000, 12000, 601)
    both = sphere_pressure(frequency, np.array([math.pi / 2 + azimuth, math.pi / 2 - azimuth]))
    phase = np.unwrap(np.angle(both[1] * both[0].conj()))
    slope = np.polyfit(2 * math.pi * frequency, phase, 1)[0]
    assert slope == pytest.approx(float(itd_of_azimuth(torch.tensor(azimuth))), rel=0.06)


def test_arrival_gives_woodworths_itd_exactly():
    azimuth = np.linspace(-math.pi / 2, math.pi / 2, 31)
    found = arrival(math.pi / 2 + azimuth) - arrival(math.pi / 2 - azimuth)
    np.testing.assert_allclose(found, itd_of_azimuth(torch.from_numpy(azimuth)).numpy(), atol=1e-12)


def test_pressure_is_that_of_the_free_field_at_zero_and_doubles_facing_the_source():
    low = sphere_pressure(np.array([0.0, 1.0]), np.linspace(0, math.pi, 7))
    assert np.abs(np.abs(low) - 1).max() < 0.01
    high = sphere_pressure(np.array([20000.0]), np.array([0.0]))
    assert abs(high[0, 0]) == pytest.approx(2, rel=0.02)


def test_pressure_against_its_series_to_first_order_at_low_frequency():
    """H = 1 + (3 / 2) i mu cos(theta) + O(mu^2): a sphere makes the plane wave's gradient half as large again."""
    theta = np.linspace(0, math.pi, 9)
    mu = 0.01
    frequency = mu / (2 * math.pi * CROSSING)
    found = sphere_pressure(np.array([frequency]), theta)[:, 0]
    assert np.abs(found - (1 + 1.5j * mu * np.cos(theta))).max() < 3 * mu**2


@pytest.mark.parametrize("azimuth", [-60.0, -5.0, 0.0, 40.0, 90.0, 150.0])
def test_impulse_responses_are_the_pressure(azimuth):
    head = load_head("spherical")
    responses = head.impulse_responses(np.radians(azimuth), head.sample_rate)[0]
    frequency = np.linspace(200, 12000, 100)
    gain = np.abs(responses @ np.exp(-2j * np.pi * np.arange(responses.shape[1])[:, None] * frequency / 48000))
    angle = np.arccos(np.sin(np.radians(azimuth)) * np.array([-1, 1]))
    np.testing.assert_allclose(gain, np.abs(sphere_pressure(frequency, angle)), atol=0.02)


def test_radius_can_be_chosen():
    small, large = load_head("spherical:7 cm"), load_head("spherical:0.1 m")
    assert large.itd(1.0)[0] == pytest.approx(small.itd(1.0)[0] * 10 / 7, rel=0.05)


def test_nothing_arrives_before_the_wave_front():
    responses = load_head("spherical").responses
    assert (responses[..., :8] ** 2).sum(-1).max() < 1e-3 * (responses**2).sum(-1).min()
