import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from spikeloc.calibration import NOMINAL, calibration, levels_of_normal, levels_of_posterior
from spikeloc.evaluation import wilson_interval
from spikeloc.readout import Decision

N = 20_000


def told(claim):
    """An observer that errs by normal noise of sizes between 1 and 5 deg, and claims so many times as much."""
    generator = torch.Generator().manual_seed(0)
    sd = torch.deg2rad(1 + 4 * torch.rand(N, generator=generator, dtype=torch.float64))
    true = torch.rand(N, generator=generator, dtype=torch.float64) - 0.5
    angle = true + sd * torch.randn(N, generator=generator, dtype=torch.float64)
    return true, Decision(angle, torch.zeros(N, dtype=torch.long), claim * sd)


def of(claim):
    true, decision = told(claim)
    return calibration(true, decision, levels_of_normal(true, decision), wilson_interval)


def test_an_observer_that_knows_its_noise_is_calibrated():
    found = of(1.0)
    np.testing.assert_allclose(found["coverage"], NOMINAL, atol=0.012)
    np.testing.assert_allclose(found["stated_deg"], found["found_deg"], rtol=0.06)
    assert found["coverage_68"] == pytest.approx(0.68, abs=0.012)
    assert found["coverage_95_ci95"][0] < 0.95 < found["coverage_95_ci95"][1]
    assert found["rms_uncertainty_deg"] == pytest.approx(found["rms_error_deg"], rel=0.02)


@pytest.mark.parametrize("claim", [0.5, 2.0])
def test_too_sure_and_too_unsure_are_told_apart(claim):
    found = of(claim)
    expected = 2 * norm.cdf(claim * norm.ppf(0.84)) - 1
    assert found["coverage_68"] == pytest.approx(expected, abs=0.012)
    assert found["rms_uncertainty_deg"] == pytest.approx(claim * found["rms_error_deg"], rel=0.02)


def test_groups_go_from_the_surest_on():
    stated = of(1.0)["stated_deg"]
    assert stated == sorted(stated)
    assert len(stated) == 10


def test_a_level_is_the_smallest_central_interval_that_holds_the_truth():
    true, decision = told(1.0)
    levels = levels_of_normal(true, decision)
    below = norm.cdf((true - decision.angle) / decision.uncertainty)
    np.testing.assert_allclose(levels_of_posterior(below), levels, atol=1e-6)
    np.testing.assert_allclose(levels_of_posterior(np.array([0.0, 0.5, 0.975])), [1, 0, 0.95])


def test_errors_are_measured_around_the_circle():
    true = torch.tensor([math.radians(179)], dtype=torch.float64)
    decision = Decision(-true, torch.zeros(1, dtype=torch.long), torch.tensor([math.radians(2)], dtype=torch.float64))
    found = calibration(true, decision, levels_of_normal(true, decision), wilson_interval)
    assert found["rms_error_deg"] == pytest.approx(2)
    assert found["coverage_95"] == 1


def test_an_observer_without_uncertainty_has_no_calibration():
    silent = Decision(torch.zeros(1), torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="how sure"):
        levels_of_normal(torch.zeros(1), silent)
    with pytest.raises(ValueError, match="how sure"):
        calibration(torch.zeros(1), silent, np.zeros(1), wilson_interval)
