"""A spherical head: round trips, limits, monotony, and what cannot be."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc import azimuth as head
from spikeloc.errors import UserError

radii = st.floats(0.01, 1)
azimuths = torch.linspace(-math.pi / 2, math.pi / 2, 181, dtype=torch.float64)


def test_an_adult_head_delays_by_656_microseconds_at_90_degrees_and_9_per_degree_ahead():
    itd = head.itd_of_azimuth(torch.tensor([math.pi / 2, 0.0, math.radians(1)]))
    assert itd[0] == pytest.approx(656e-6, abs=0.5e-6)
    assert itd[0] == head.largest_itd()  # though 90 deg in single precision lies beyond it
    assert itd[1] == 0
    assert itd[2] == pytest.approx(8.9e-6, abs=0.05e-6)


def test_path_around_the_sphere():
    # Far source at azimuth x: the near ear is a sin x closer than the centre, the far ear an arc a x beyond its shadow.
    x, radius = 0.7, 0.1
    far, near = radius * x, -radius * math.sin(x)
    itd = head.itd_of_azimuth(torch.tensor(x, dtype=torch.float64), radius)
    assert itd == pytest.approx((far - near) / head.SPEED_OF_SOUND, rel=1e-14)


@settings(deadline=None)
@given(radii)
def test_azimuth_comes_back_from_its_itd(radius):
    back = head.azimuth_of_itd(head.itd_of_azimuth(azimuths, radius), radius)
    torch.testing.assert_close(back, azimuths, rtol=0, atol=2e-15)


@settings(deadline=None)
@given(radii)
def test_itd_grows_with_azimuth_and_is_odd(radius):
    itd = head.itd_of_azimuth(azimuths, radius)
    assert (itd.diff() > 0).all()
    torch.testing.assert_close(itd, -itd.flip(0), rtol=1e-14, atol=1e-17)


def test_what_a_head_cannot_make_is_not_a_number():
    assert head.azimuth_of_itd(torch.tensor([700e-6, -700e-6])).isnan().all()
    assert head.itd_of_azimuth(torch.tensor([1.6, -1.6, math.nan])).isnan().all()
    assert head.azimuth_of_ipd(torch.tensor(math.pi / 2), 20).isnan()


def test_phase_and_time():
    ipd = torch.tensor([math.pi / 2, -math.pi])
    torch.testing.assert_close(head.itd_of_ipd(ipd, 500), torch.tensor([0.5e-3, -1e-3], dtype=torch.float64))
    torch.testing.assert_close(head.ipd_of_itd(head.itd_of_ipd(ipd, 381), 381), ipd.double())


def test_a_tone_of_20_hertz_uses_a_nineteenth_of_its_phase_range():
    assert math.degrees(head.largest_ipd(20)) == pytest.approx(4.7, abs=0.05)
    assert math.pi / 2 / head.largest_ipd(20) == pytest.approx(19, abs=0.1)


def test_azimuth_error_takes_an_estimate_beyond_the_head_as_its_end():
    limit = head.largest_ipd(200)
    true = torch.tensor([0.0, limit, 1.1 * limit], dtype=torch.float64)
    error = head.azimuth_error(true, torch.tensor([2 * limit, limit, limit], dtype=torch.float64), 200)
    torch.testing.assert_close(
        error, torch.tensor([math.pi / 2, 0, math.nan], dtype=torch.float64), equal_nan=True, rtol=0, atol=1e-7
    )


def test_azimuth_error_ahead_is_the_itd_error_over_the_slope():
    error = head.azimuth_error(torch.zeros(1), torch.tensor([1e-3]), 500)
    slope = 2 * head.HEAD_RADIUS / head.SPEED_OF_SOUND
    assert float(error) == pytest.approx(1e-3 / (2 * math.pi * 500) / slope, rel=1e-4)


@pytest.mark.parametrize("radius", [0, -0.1, math.inf, math.nan])
def test_a_head_without_size_is_refused(radius):
    with pytest.raises(UserError, match="radius of the head"):
        head.largest_itd(radius)


def test_a_tone_without_frequency_is_refused():
    with pytest.raises(UserError, match="frequency is 0 Hz"):
        head.itd_of_ipd(torch.zeros(1), 0)
