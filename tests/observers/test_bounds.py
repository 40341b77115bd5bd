"""Bounds against numerical integration, simulated scores, and the errors of the ideal observer."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import comb
from scipy.stats import norm

from spikeloc.errors import UserError
from spikeloc.observers.bounds import bounds, closed_form_information, gaussian_accuracy, phase_information
from spikeloc.stimuli import ToneStimulus

CIRCLE = np.linspace(0, 2 * math.pi, 16, endpoint=False)


def information_by_integration(stimulus, process):
    """J of one ear, from the derivative of p by hand and an integral over the circle."""
    k, peak = stimulus.envelope_power, stimulus.rate_max * stimulus.dt

    def j(theta):
        y = (1 + math.sin(theta)) / 2
        p, slope = peak * y**k, peak * k * y ** (k - 1) * math.cos(theta) / 2
        return slope**2 / (p * (1 - p) if process == "bernoulli" else p)

    # The integrand is 0 / 0 at the rate's peak and trough, where the interval ends.
    mean = quad(j, -math.pi / 2, math.pi / 2)[0] / math.pi
    return mean * stimulus.n_steps * stimulus.fibres_per_ear


@pytest.mark.parametrize("process", ["bernoulli", "poisson"])
@pytest.mark.parametrize("power", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("rate_max", [10, 600, 999.9])
def test_closed_form_is_the_integral(power, rate_max, process):
    stimulus = ToneStimulus(envelope_power=power, rate_max=rate_max)
    found = closed_form_information(stimulus, process=process)
    assert found == pytest.approx(information_by_integration(stimulus, process), rel=1e-6)


def test_closed_forms_of_the_poisson_limit():
    def of(power):
        stimulus = ToneStimulus(envelope_power=power, rate_max=600, fibres_per_ear=100, duration=0.1)
        return closed_form_information(stimulus, process="poisson") / (100 * 0.1 * 600)

    m = [comb(2 * k, k) / 4**k for k in range(8)]
    assert of(1) == pytest.approx(1 / 2)
    assert of(2) == pytest.approx(1 / 2)
    for k in range(1, 8):
        assert of(k) == pytest.approx(k**2 * (m[k - 1] - m[k]))
    # A power that is not whole lies between its neighbours' on the convex curve.
    assert of(3) < of(3.5) < of(4)


@pytest.mark.parametrize("peak", [1e-3, 0.5, 1])
def test_closed_forms_of_bernoulli_bins(peak):
    def of(power):
        return closed_form_information(ToneStimulus(envelope_power=power, rate_max=1000 * peak)) / 10_000

    root = math.sqrt(peak)
    assert of(1) == pytest.approx(1 - math.sqrt(1 - peak), rel=1e-9)
    assert of(2) == pytest.approx(4 - 2 * math.sqrt(1 - root) - 2 * math.sqrt(1 + root), rel=1e-9)


def test_bernoulli_bins_become_poisson_as_they_shrink():
    coarse, fine = (ToneStimulus(dt=dt, envelope_power=3) for dt in (1e-3, 1e-5))
    poisson = closed_form_information(coarse, process="poisson")
    assert closed_form_information(coarse) > 1.2 * poisson
    assert closed_form_information(fine) == pytest.approx(poisson, rel=0.01)


@pytest.mark.parametrize("process", ["bernoulli", "poisson"])
@pytest.mark.parametrize(("power", "rate_max"), [(1, 600), (1, 1000), (2, 600), (4, 1000), (3.5, 800)])
def test_sum_over_bins_agrees_with_the_closed_form(power, rate_max, process):
    stimulus = ToneStimulus(envelope_power=power, rate_max=rate_max)
    expected = closed_form_information(stimulus, process=process)
    if math.isnan(expected):
        expected = information_by_integration(stimulus, process)
    # 5,000 phases, evenly spaced: as good as an integral.
    np.testing.assert_allclose(phase_information(stimulus, CIRCLE, process=process), expected, rtol=1e-3)


@pytest.mark.parametrize("rate", ["bin_start", "bin_integral"])
def test_information_is_the_variance_of_the_score(rate):
    # A few bins at one phase: the derivative of the log-likelihood at the truth has variance J.
    stimulus = ToneStimulus(fibres_per_ear=3, duration=7e-3, rate_max=700, envelope_power=2, rate=rate)
    phi, step = 0.8, 1e-5
    no_angle = torch.zeros(3, dtype=torch.float64)
    around = torch.tensor([phi - step, phi, phi + step], dtype=torch.float64)
    low, p, high = stimulus.spike_probability(no_angle, around).numpy()[:, :, :3]
    x = np.random.default_rng(0).random((200_000, *p.shape)) < p
    score = np.where(x, np.log(high / low), np.log((1 - high) / (1 - low))).sum(axis=(1, 2)) / (2 * step)
    assert score.mean() == pytest.approx(0, abs=4 * score.std() / math.sqrt(len(score)))
    assert phase_information(stimulus, np.array([phi]))[0] == pytest.approx(score.var(), rel=0.02)


@pytest.mark.parametrize(
    ("changes", "known_deg"),
    [
        # Formulas of the Poisson limit: sigma = sqrt(2 / (N R T)) with the phase known, twice its square without.
        ({"rate_max": 600, "envelope_power": 2}, math.degrees(math.sqrt(2 / 6000))),
        ({"rate_max": 600, "envelope_power": 1}, math.degrees(math.sqrt(2 / 6000))),
    ],
)
def test_standard_deviation_with_and_without_the_phase(changes, known_deg):
    unknown = bounds(ToneStimulus(**changes), 12, process="poisson")
    known = bounds(ToneStimulus(phase="fixed", **changes), 12, process="poisson")
    assert math.degrees(known.sd) == pytest.approx(known_deg, rel=1e-4)
    assert unknown.sd == pytest.approx(math.sqrt(2) * known.sd, rel=1e-4)
    assert known.mean_absolute_error == pytest.approx(known.sd * math.sqrt(2 / math.pi))


def test_sharing_the_phase_lies_between_not_knowing_and_knowing_it():
    shared = ToneStimulus(phase="per_dataset")
    alone = bounds(ToneStimulus(), 12).sd
    assert bounds(shared, 12).sd == alone
    assert bounds(shared, 12, n_sharing=10).sd == pytest.approx(alone * math.sqrt(1.1 / 2), rel=1e-3)
    known = bounds(ToneStimulus(phase="fixed"), 12).sd
    assert bounds(shared, 12, n_sharing=10**9).sd == pytest.approx(known, rel=1e-3)


@pytest.mark.parametrize("n_classes", [1, 2, 5, 12])
@pytest.mark.parametrize("sd", [1e-3, 0.05, 0.3, 10.0])
def test_accuracy_of_gaussian_estimates(n_classes, sd):
    width = 2 / n_classes
    angle = np.linspace(-1, 1, 12_001)[:-1] + 1 / 12_001
    label = np.minimum((angle + 1) // width, n_classes - 1)
    low, high = -1 + label * width, -1 + (label + 1) * width
    low[label == 0], high[label == n_classes - 1] = -np.inf, np.inf
    expected = np.mean(norm.cdf(high, angle, sd) - norm.cdf(low, angle, sd))
    assert gaussian_accuracy(sd, width, n_classes) == pytest.approx(expected, abs=1e-4)


def test_accuracy_of_no_information_is_chance():
    assert gaussian_accuracy(math.inf, 0.1, 12) == pytest.approx(1 / 12)
    assert gaussian_accuracy(0.0, 0.1, 12) == 1


@pytest.mark.parametrize("changes", [{"rate_max": 0}, {"envelope_power": 0}, {"rate_max": 0, "fibres_per_ear": 1}])
@pytest.mark.parametrize("process", ["bernoulli", "poisson"])
def test_a_stimulus_that_says_nothing_has_no_bound(changes, process):
    found = bounds(ToneStimulus(**changes), 12, process=process)
    assert found.sd == found.mean_absolute_error == math.inf
    assert found.accuracy == pytest.approx(1 / 12)
    assert closed_form_information(ToneStimulus(**changes), process=process) == 0


@pytest.mark.parametrize("changes", [{"rate_max": 1500}, {"envelope_power": 0.4}])
def test_probabilities_with_an_edge_have_infinite_information(changes):
    assert bounds(ToneStimulus(**changes), 12).sd == 0
    assert closed_form_information(ToneStimulus(**changes)) in (math.inf,) or "envelope_power" in changes


def test_no_formula_is_known_for_integrals_nor_for_broken_powers_of_bernoulli_bins():
    assert math.isnan(closed_form_information(ToneStimulus(rate="bin_integral")))
    assert math.isnan(closed_form_information(ToneStimulus(envelope_power=2.5)))


def test_nonsense_is_refused():
    with pytest.raises(UserError, match="number of classes is 0"):
        bounds(ToneStimulus(), 0)
    with pytest.raises(UserError, match="0 sounds share a phase"):
        bounds(ToneStimulus(phase="per_dataset"), 12, n_sharing=0)
