"""Summaries of a posterior against closed forms: a Gaussian between two grid points, cut off by the range."""

import math

import numpy as np
import pytest
from scipy.stats import norm, truncnorm

from spikeloc.errors import UserError
from spikeloc.observers.posterior import Posterior, grid_of_range

LIMIT, SPACING = 1.0, 0.0137  # the range does not end on a grid point


def gaussian(centre, sd, limit=LIMIT):
    angle = grid_of_range(limit, SPACING) * SPACING
    return Posterior(angle, 7.0 * norm.pdf(angle, centre, sd)[None], limit)


def truth(centre, sd, limit=LIMIT):
    return truncnorm((-limit - centre) / sd, (limit - centre) / sd, centre, sd)


cases = pytest.mark.parametrize(("centre", "sd"), [(0.1234, 0.05), (0.99, 0.05), (-0.96, 0.04), (1.1, 0.1), (0.3, 2.0)])


@cases
def test_quantiles(centre, sd):
    posterior, expected = gaussian(centre, sd), truth(centre, sd)
    for probability in (0.01, 0.25, 0.5, 0.9):
        assert posterior.quantile(probability)[0] == pytest.approx(expected.ppf(probability), abs=2e-3 * min(sd, 0.2))
    np.testing.assert_allclose(posterior.interval(0.9)[0], expected.interval(0.9), atol=2e-3 * min(sd, 0.2))
    assert posterior.median[0] == posterior.quantile(0.5)[0]


@cases
def test_mean_and_standard_deviation(centre, sd):
    posterior, expected = gaussian(centre, sd), truth(centre, sd)
    assert posterior.mean[0] == pytest.approx(expected.mean(), abs=2e-4 * min(sd, 0.2))
    assert posterior.sd[0] == pytest.approx(expected.std(), rel=1e-3)


@cases
@pytest.mark.parametrize("n_classes", [1, 2, 7, 12, 500])
def test_class_masses(centre, sd, n_classes):
    edges = np.linspace(-LIMIT, LIMIT, n_classes + 1)
    expected = np.diff(truth(centre, sd).cdf(edges))
    np.testing.assert_allclose(gaussian(centre, sd).class_mass(n_classes)[0], expected, atol=1e-4)


def test_integrals_are_of_fourth_order():
    errors = []
    for spacing in (0.05, 0.025):
        angle = grid_of_range(LIMIT, spacing) * spacing
        posterior = Posterior(angle, norm.pdf(angle, 0.9, 0.12)[None], LIMIT)
        edges = np.linspace(-LIMIT, LIMIT, 41)
        errors.append(np.abs(posterior.class_mass(40)[0] - np.diff(truth(0.9, 0.12).cdf(edges))).max())
    assert errors[1] < errors[0] / 10


def test_a_posterior_across_the_back_is_measured_around_it():
    # 180 deg is -180 deg: a narrow posterior there is narrow.
    angle = grid_of_range(math.pi, SPACING) * SPACING
    around = (angle - 3.1 + math.pi) % (2 * math.pi) - math.pi
    posterior = Posterior(angle, norm.pdf(around, 0, 0.1)[None], math.pi)
    assert posterior.sd[0] == pytest.approx(0.1, rel=0.02)
    assert posterior.median[0] == pytest.approx(3.1, abs=0.1)


def test_a_density_with_an_edge_keeps_masses_non_negative():
    angle = grid_of_range(LIMIT, SPACING) * SPACING
    posterior = Posterior(angle, ((angle > 0.2) & (angle < 0.3)).astype(float)[None], LIMIT)
    mass = posterior.class_mass(200)[0]
    assert (mass >= 0).all()
    assert mass.sum() == pytest.approx(1)
    assert (
        0.2 - SPACING
        < posterior.interval(1.0)[0, 0]
        < posterior.median[0]
        < posterior.interval(0.999)[0, 1]
        < 0.3 + SPACING
    )


@pytest.mark.parametrize("n_classes", [1, 7, 12])
def test_grids_of_their_own_say_the_same(n_classes):
    # Parts of one grid about each sound's angles: within the range, at its ends, and just beyond.
    cases = [(0.1234, 0.03), (0.99, 0.03), (-0.96, 0.02), (1.02, 0.03), (-1.0, 0.03)]
    rows = [gaussian(*case) for case in cases]
    first = [int(np.clip(np.rint((centre + LIMIT) / SPACING) - 24, 0, None)) for centre, _ in cases]
    width = 50
    angle, density = (np.zeros((len(rows), width)) for _ in range(2))
    for row, (whole, begin) in enumerate(zip(rows, first, strict=True)):
        piece = slice(begin, begin + width)
        n = len(whole.angle[piece])
        angle[row] = whole.angle[0] + (begin + np.arange(width)) * whole.spacing
        density[row, :n] = whole.density[0, piece]
    own = Posterior(angle, density, LIMIT)
    for row, whole in enumerate(rows):
        assert own.median[row] == pytest.approx(whole.median[0], abs=1e-9)
        assert own.mean[row] == pytest.approx(whole.mean[0], abs=1e-9)
        assert own.sd[row] == pytest.approx(whole.sd[0], rel=1e-7)
        np.testing.assert_allclose(own.class_mass(n_classes)[row], whole.class_mass(n_classes)[0], atol=1e-9)
        np.testing.assert_allclose(own.interval(0.9)[row], whole.interval(0.9)[0], atol=1e-9)


def test_no_classes_are_refused():
    with pytest.raises(UserError, match="number of classes is 0"):
        gaussian(0, 0.1).class_mass(0)


@cases
def test_probability_below_and_density_at_an_angle_of_each_sound(centre, sd):
    expected = truth(centre, sd)
    angle = np.array([-1.0, -0.98, 0.1, centre, 0.97, 1.0])
    angle = angle[np.abs(angle) <= LIMIT]
    one = gaussian(centre, sd)
    posterior = Posterior(one.angle, np.repeat(one.density, len(angle), axis=0), LIMIT)
    np.testing.assert_allclose(posterior.below(angle), expected.cdf(angle), atol=1e-3)
    np.testing.assert_allclose(posterior.density_at(angle), expected.pdf(angle), atol=2e-3 * expected.pdf(angle).max())
