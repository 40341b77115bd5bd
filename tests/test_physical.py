import math

import pytest
import torch

from spikeloc.azimuth import azimuth_of_ipd, largest_itd
from spikeloc.errors import UserError
from spikeloc.physical import head_account, is_natural, physical_errors
from spikeloc.stimuli import ToneStimulus

NATURAL, SEED = ToneStimulus(frequency=500), ToneStimulus()


def test_a_small_error_has_the_slope_of_the_sphere():
    """At the midline ITD = 2 radius / c azimuth: 8.9 us to a degree."""
    true = torch.zeros(4, dtype=torch.float64)
    error = 2 * math.pi * 500 * 8.9e-6
    found = physical_errors(true, true + error * torch.tensor([1, -1, 1, -1]), NATURAL)
    assert found["mean_absolute_error_us"] == pytest.approx(8.9)
    assert found["mean_absolute_error_azimuth_deg"] == pytest.approx(1, rel=2e-3)
    assert found["mean_absolute_error_us_ci95"] == pytest.approx([8.9, 8.9])


def test_the_same_error_is_more_degrees_to_the_side_and_to_a_smaller_head():
    def degrees(angle, radius=0.0875):
        true = torch.tensor([angle], dtype=torch.float64)
        return physical_errors(true, true + 0.05, NATURAL, radius)["mean_absolute_error_azimuth_deg"]

    assert degrees(1.4) > degrees(0.0)
    assert degrees(0.0, radius=0.07) == pytest.approx(degrees(0.0) * 0.0875 / 0.07, rel=1e-2)


def test_an_impossible_tone_has_degrees_of_phase_only():
    assert physical_errors(torch.zeros(2), torch.ones(2), SEED) == {}
    account = head_account(SEED)
    assert not account["natural"]
    assert account["largest_azimuth_deg"] is None
    assert account["largest_itd_us"] == pytest.approx(12_500)
    assert "±12.5 ms" in account["statement"]
    assert "19 times less" in account["statement"]
    assert "degrees of phase" in account["statement"]


def test_a_possible_tone_is_put_in_a_heads_units():
    account = head_account(NATURAL)
    assert account["natural"]
    assert account["largest_itd_us"] == pytest.approx(500)
    assert account["head_largest_itd_us"] == pytest.approx(655.8, abs=0.1)
    limit = azimuth_of_ipd(torch.tensor(math.pi / 2), 500)
    assert account["largest_azimuth_deg"] == pytest.approx(math.degrees(float(limit)))


def test_the_radius_decides_what_is_possible():
    """+-90 deg at 500 Hz are 0.5 ms: a head with that as its largest delay just makes them."""
    radius = 0.0875 * 0.5e-3 / largest_itd()
    assert is_natural(NATURAL, 1.0001 * radius)
    assert not is_natural(NATURAL, 0.9999 * radius)
    with pytest.raises(UserError, match="radius of the head is -1"):
        head_account(NATURAL, -1)
