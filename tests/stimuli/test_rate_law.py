import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from spikeloc.errors import UserError
from spikeloc.stimuli.rate_law import RateLaw, probability_at

THETA = np.linspace(0, 2 * math.pi, 17)


@pytest.mark.parametrize("power", [0, 1, 2, 4, 30, 100])
@pytest.mark.parametrize("step_angle", [0.01, 0.3, 2.0])
def test_integral_against_quadrature(power, step_angle):
    law = RateLaw(0.4, power, "bin_integral", step_angle)
    for theta, p in zip(THETA, law.probability(THETA), strict=True):
        area, _ = integrate.quad(lambda x: ((1 + math.sin(x)) / 2) ** power, theta, theta + step_angle, epsabs=1e-12)
        assert p == pytest.approx(0.4 * area / step_angle, abs=1e-10)


def test_published_closed_form_of_the_collaboration():
    """k = 2: p = (R / 4) [12 pi f dt - 8 (cos b - cos a) - (sin 2b - sin 2a)] / (8 pi f), b = a + 2 pi f dt."""
    rate, f, dt = 600.0, 50.0, 1e-3
    a, b = THETA, THETA + 2 * math.pi * f * dt
    bracket = 12 * math.pi * f * dt - 8 * (np.cos(b) - np.cos(a)) - (np.sin(2 * b) - np.sin(2 * a))
    expected = rate / 4 * bracket / (8 * math.pi * f)
    law = RateLaw(rate * dt, 2, "bin_integral", 2 * math.pi * f * dt)
    np.testing.assert_allclose(law.probability(THETA), expected, atol=1e-14)


@given(st.floats(0, 100), st.floats(-1, 1), st.floats(0, 3))
def test_compiled_law_is_the_law(power, sine, peak):
    expected = peak * ((1 + sine) / 2) ** power
    assert probability_at(sine, peak, power, np.zeros(0)) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@given(st.integers(0, 100), st.floats(0, 2 * math.pi), st.floats(0.001, 1))
def test_compiled_integral_is_the_integral(power, theta, step_angle):
    law = RateLaw(0.7, power, "bin_integral", step_angle)
    compiled = probability_at(math.sin(theta + law.phase_shift), law.peak, float(power), law.coefficients)
    assert max(0.0, compiled) == pytest.approx(float(law.probability(np.array(theta))), abs=1e-13)


def test_the_laws_agree_for_short_bins_and_not_for_long_ones():
    start, integral = (RateLaw(0.5, 4, kind, 1e-6).probability(THETA) for kind in ("bin_start", "bin_integral"))
    np.testing.assert_allclose(start, integral, atol=1e-6)
    start, integral = (RateLaw(0.5, 4, kind, 1.0).probability(THETA) for kind in ("bin_start", "bin_integral"))
    assert np.abs(start - integral).max() > 0.05


def test_probability_is_clipped_but_its_peak_is_told():
    law = RateLaw(2.5, 4, "bin_start", 0.1)
    assert law.probability(np.array(math.pi / 2)) == 1
    assert law.peak_probability == pytest.approx(2.5)


def test_the_integral_of_a_broken_power_is_refused():
    with pytest.raises(UserError, match="whole powers only"):
        RateLaw(1, 2.5, "bin_integral", 0.1)
