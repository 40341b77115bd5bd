"""The ideal observer against direct summation, and against what only an exact posterior can do: be calibrated."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, xlog1py, xlogy
from scipy.stats import kstest

from spikeloc.angles import class_of_angle
from spikeloc.errors import UserError
from spikeloc.observers.bounds import bounds
from spikeloc.observers.ideal import IdealObserver, Judgement, _correlate
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

POINTS = 72  # three fibres have delays of 0, 45 and 90 deg; a ninth of a period passes in a time step


def tiny(**changes):
    """Thirty bins: small enough to sum over every phase and angle."""
    return ToneStimulus(
        **{"frequency": 1000 / 9, "dt": 1e-3, "duration": 5e-3, "fibres_per_ear": 3, "rate_max": 1000, **changes}
    )


def log_likelihood(stimulus, spikes, angle, phase):
    """log P(spikes | angle, phase) by its definition: [sounds, angles x phases]."""
    p = stimulus.spike_probability(torch.from_numpy(angle), torch.from_numpy(phase)).numpy()
    x = spikes.numpy()[:, None]
    return (xlogy(x, p) + xlog1py(1 - x, -p)).sum(axis=(2, 3))


def direct_posterior(stimulus, spikes, angle):
    """p(angle | spikes) at these angles, summed over phases on a grid: [sounds, angles], rows sum to 1."""
    if stimulus.phase == "fixed":
        joint = log_likelihood(stimulus, spikes, angle, np.zeros(len(angle)))[:, None]
    else:
        phase = 2 * math.pi * np.arange(POINTS) / POINTS
        u, a = (part.ravel() for part in np.meshgrid(phase, angle, indexing="ij"))
        joint = log_likelihood(stimulus, spikes, a, u).reshape(len(spikes), POINTS, len(angle))
    if stimulus.phase == "per_dataset":
        # Trapezoids over the range: the ends count half, what lies beyond not at all.
        with np.errstate(divide="ignore"):
            distance = np.abs(angle) - stimulus.max_ipd
            prior = np.log(np.where(np.abs(distance) < 1e-9, 0.5, (distance < 0).astype(float)))
        mass = logsumexp(joint + prior, axis=2)
        others = np.stack([np.delete(mass, sound, axis=0).sum(axis=0) for sound in range(len(mass))])
        joint = joint + others[:, :, None]
    log_posterior = logsumexp(joint, axis=1)
    return np.exp(log_posterior - logsumexp(log_posterior, axis=1, keepdims=True))


@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
@pytest.mark.parametrize("right_delays", ["reversed", "equal"])
@pytest.mark.parametrize(
    ("rate_max", "power", "rate"),
    [
        (1000, 4, "bin_start"),  # p reaches exactly 0 and exactly 1
        (1700, 1, "bin_start"),  # p is clipped
        (300, 2, "bin_start"),
        (900, 0.3, "bin_start"),
        (900, 3, "bin_integral"),
    ],
)
def test_posterior_is_the_sum_over_phases(phase, right_delays, rate_max, power, rate):
    stimulus = tiny(phase=phase, right_delays=right_delays, rate_max=rate_max, envelope_power=power, rate=rate)
    spikes = stimulus.draw(4, seed=3).spikes
    posterior = IdealObserver(stimulus, 12, points=POINTS).posterior(spikes)
    expected = direct_posterior(stimulus, spikes, posterior.angle)
    found = posterior.density / posterior.density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_what_contradicts_a_certain_bin_is_impossible():
    # One fibre at a fixed phase: its first bin spikes for certain at +90 deg, and never at -90 deg.
    stimulus = tiny(phase="fixed", fibres_per_ear=1, duration=1e-3)
    silent = torch.zeros(1, 1, 2)
    spike = torch.ones(1, 1, 2)
    observer = IdealObserver(stimulus, 12, points=POINTS)
    for spikes, impossible in ((silent, math.pi / 2), (spike, -math.pi / 2)):
        posterior = observer.posterior(spikes)
        at = np.abs(posterior.angle - impossible).argmin()
        assert posterior.density[0, at] == 0
        assert (np.delete(posterior.density[0], at) > 0).all()


def test_phases_that_do_not_fit_a_grid_agree_with_direct_summation():
    stimulus = tiny(frequency=113.7, fibres_per_ear=4, duration=7e-3, rate_max=800, envelope_power=2, phase="fixed")
    spikes = stimulus.draw(5, seed=1).spikes
    posterior = IdealObserver(stimulus, 12).posterior(spikes)
    expected = direct_posterior(stimulus, spikes, posterior.angle)
    found = posterior.density / posterior.density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-4 * expected.max())


def test_transforms_agree_with_direct_summation():
    rng = np.random.default_rng(0)
    angle = 2 * math.pi * np.arange(96) / 96
    left, right = (40 * np.cos(angle - rng.uniform(0, 6, (5, 1))) + rng.normal(size=(5, 96)) for _ in range(2))
    left[0, 10:20] = -np.inf
    lags = np.arange(-96 // 2, 96 // 2)
    expected = logsumexp([left + np.roll(right, -lag, axis=1) for lag in lags], axis=2).T
    found = _correlate(left, right, lags, 1)
    np.testing.assert_allclose(
        found / found.max(axis=1, keepdims=True), np.exp(expected - expected.max(1)[:, None]), atol=1e-13
    )


def test_likelihoods_far_outside_the_range_are_summed_directly():
    # The ears disagree by 100 deg with a standard deviation of 1 deg each, and angles end at 20 deg: 56 of them away.
    points = 3600
    angle = 2 * math.pi * np.arange(points) / points
    sharpness = math.degrees(1) ** 2
    left, right = sharpness * np.cos(angle)[None], sharpness * np.cos(angle - math.radians(100))[None]
    lags = np.arange(-200, 201)
    found = _correlate(left, right, lags, 4)[0]
    expected = logsumexp([left[0] + np.roll(right[0], -lag) for lag in lags], axis=1)
    np.testing.assert_allclose(found / found.max(), np.exp(expected - expected.max()), rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize(
    "changes",
    [{}, {"phase": "fixed"}, {"frequency": 63.0, "envelope_power": 2, "rate_max": 600}, {"rate_max": 1500}],
)
def test_a_grid_twice_as_fine_decides_the_same(changes):
    stimulus = ToneStimulus(**changes)
    events = stimulus.draw(200, seed=5).events
    observer = IdealObserver(stimulus, 12)
    finer = IdealObserver(stimulus, 12, points=2 * observer.likelihood.grid.points)
    assert finer.likelihood.grid.points > 1.9 * observer.likelihood.grid.points
    one, other = observer.decide(events), finer.decide(events)
    sd = one.uncertainty.mean()
    torch.testing.assert_close(one.angle, other.angle, rtol=0, atol=float(2e-3 * sd))
    torch.testing.assert_close(one.uncertainty, other.uncertainty, rtol=2e-3, atol=0)
    torch.testing.assert_close(one.label, other.label)


# What only an exact posterior does


@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
@pytest.mark.parametrize("right_delays", ["reversed", "equal"])
def test_posterior_is_calibrated_where_little_is_known(phase, right_delays):
    # 40 spikes or so, far from Gaussian posteriors, ends of the range in reach.
    stimulus = ToneStimulus(
        fibres_per_ear=6, duration=0.03, rate_max=400, envelope_power=2, phase=phase, right_delays=right_delays
    )
    n = 1000
    sounds = stimulus.draw(n, seed=11)
    posterior = IdealObserver(stimulus, 12).posterior(sounds.events)
    angle = sounds.angle.numpy()
    below = np.array([posterior._below_angle(angle[i : i + 1])[i, 0] for i in range(0, n, 5)])
    ends = posterior._below_angle(np.array([-stimulus.max_ipd, stimulus.max_ipd]))[::5]
    assert kstest((below - ends[:, 0]) / (ends[:, 1] - ends[:, 0]), "uniform").pvalue > 1e-3
    for level in (0.5, 0.95):
        low, high = posterior.interval(level).T
        covered = np.mean((low <= angle) & (angle <= high))
        assert covered == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / n))
    mass = posterior.class_mass(12)
    right = np.mean(mass.argmax(axis=1) == class_of_angle(sounds.angle, 12).numpy())
    assert right == pytest.approx(mass.max(axis=1).mean(), abs=4 * math.sqrt(right * (1 - right) / n))
    assert np.mean((posterior.mean - angle) ** 2) == pytest.approx(np.mean(posterior.sd**2), rel=0.2)


@pytest.mark.parametrize(
    ("changes", "accuracy", "error_deg"),
    [
        # The published setting, and the seed's stimulus.
        ({"frequency": 50, "rate_max": 600, "envelope_power": 2, "right_delays": "equal"}, 0.937, 1.03),
        ({}, 0.969, 0.52),
        ({"phase": "fixed"}, 0.977, 0.37),
        ({"rate": "bin_integral", "frequency": 50, "rate_max": 800}, 0.955, 0.74),
    ],
)
def test_ceilings_and_the_cramer_rao_bound(changes, accuracy, error_deg):
    stimulus, n = ToneStimulus(**changes), 2048
    sounds = stimulus.draw(n, seed=2)
    decision = IdealObserver(stimulus, 12).decide(sounds.events)
    right = float((decision.label == class_of_angle(sounds.angle, 12)).double().mean())
    error = (decision.angle - sounds.angle).rad2deg()
    assert right == pytest.approx(accuracy, abs=3 * math.sqrt(accuracy * (1 - accuracy) / n))
    mean = float(error.abs().mean())
    assert mean == pytest.approx(error_deg, abs=3 * float(error.abs().std()) / math.sqrt(n) + 0.005)
    # The observer knows how wrong it is.
    assert float(((error.deg2rad() / decision.uncertainty) ** 2).mean()) == pytest.approx(1, abs=0.1)
    # The standard error of a standard deviation is sd / sqrt(2 n), 1.6 %; the ends of the range help by less.
    bound = bounds(stimulus, 12)
    assert float(error.std().deg2rad()) == pytest.approx(bound.sd, rel=0.06)
    assert math.radians(mean) == pytest.approx(bound.mean_absolute_error, rel=0.06)
    assert right == pytest.approx(bound.accuracy, abs=3 * math.sqrt(accuracy * (1 - accuracy) / n))


def test_many_sounds_that_share_a_phase_tell_it():
    # One sound cannot know its phase; 200 that share one know it as well as if it were told.
    shared = ToneStimulus(phase="per_dataset")
    sounds = shared.draw(200, seed=4)
    together = IdealObserver(shared, 12).decide(sounds.events).uncertainty
    alone = IdealObserver(shared.model_copy(update={"phase": "per_sound"}), 12).decide(sounds.events).uncertainty
    assert float(together.mean() / alone.mean()) == pytest.approx(math.sqrt(0.5), abs=0.02)
    one = IdealObserver(shared, 12).decide(sounds.events.sounds(0, 1)).uncertainty
    torch.testing.assert_close(one, alone[:1], rtol=1e-6, atol=0)


@pytest.mark.parametrize("right_delays", ["reversed", "equal"])
def test_mirrored_sounds_have_mirrored_posteriors(right_delays):
    stimulus = ToneStimulus(fibres_per_ear=20, right_delays=right_delays)
    spikes = stimulus.draw(20, seed=8).spikes
    ears = spikes.reshape(20, stimulus.n_steps, 2, 20).flip(2)
    mirrored = (ears.flip(3) if right_delays == "reversed" else ears).reshape(spikes.shape)
    observer = IdealObserver(stimulus, 12)
    there, back = observer.posterior(spikes), observer.posterior(mirrored)
    np.testing.assert_allclose(there.density, back.density[:, ::-1], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(there.median, -back.median, atol=1e-9)


# Little or nothing to go by


@pytest.mark.parametrize("changes", [{"rate_max": 0}, {"envelope_power": 0}, {"rate_max": 2000, "envelope_power": 0}])
@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
def test_spikes_that_say_nothing_leave_the_prior(changes, phase):
    stimulus = ToneStimulus(phase=phase, fibres_per_ear=1, **changes)
    observer = IdealObserver(stimulus, 12)
    posterior = observer.posterior(stimulus.draw(3, seed=1).events)
    np.testing.assert_allclose(posterior.class_mass(12), 1 / 12, rtol=1e-9)
    np.testing.assert_allclose(posterior.median, 0, atol=1e-9)
    np.testing.assert_allclose(posterior.sd, math.pi / math.sqrt(12), rtol=1e-6)
    np.testing.assert_allclose(posterior.interval(0.9), [[-math.radians(81), math.radians(81)]] * 3, rtol=1e-9)


@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
@pytest.mark.parametrize("rate_max", [1000, 3000])
def test_spikes_that_the_stimulus_cannot_make_are_still_decided_about(phase, rate_max):
    stimulus = ToneStimulus(phase=phase, rate_max=rate_max, fibres_per_ear=10)
    random = torch.rand(30, stimulus.n_steps, stimulus.n_fibres, generator=torch.Generator().manual_seed(1)) < 0.5
    for spikes in (random, torch.ones_like(random), torch.zeros_like(random)):
        decision = IdealObserver(stimulus, 12).decide(spikes)
        assert decision.angle.isfinite().all()
        assert (decision.angle.abs() <= stimulus.max_ipd).all()
        assert decision.uncertainty.isfinite().all()


@pytest.mark.parametrize("limit_deg", [10, 33.3, 90, 137, 180])
def test_other_ranges(limit_deg):
    stimulus = ToneStimulus(max_ipd=math.radians(limit_deg), fibres_per_ear=50)
    sounds = stimulus.draw(200, seed=6)
    decision = IdealObserver(stimulus, 7).decide(sounds.events)
    error = torch.remainder(decision.angle - sounds.angle + math.pi, 2 * math.pi) - math.pi
    assert float(error.abs().mean().rad2deg()) < 1
    assert float((decision.label == class_of_angle(sounds.angle, 7, stimulus.max_ipd)).double().mean()) > 0.7
    assert float(decision.uncertainty.mean().rad2deg()) == pytest.approx(0.92, abs=0.1)


def test_no_sounds_no_decisions():
    stimulus = ToneStimulus(phase="per_dataset")
    decision = IdealObserver(stimulus, 12).decide(stimulus.draw(0, seed=1).events)
    assert decision.angle.shape == decision.label.shape == decision.uncertainty.shape == (0,)


def test_dense_spikes_and_events_are_the_same_to_it():
    stimulus = tiny()
    sounds = stimulus.draw(5, seed=1)
    observer = IdealObserver(stimulus, 3)
    one, other = observer.decide(sounds.events), observer.decide(sounds.spikes)
    assert torch.equal(one.angle, other.angle)
    assert torch.equal(observer.localise(SpikeEvents.from_dense(sounds.spikes)), one.angle)


def test_decisions_do_not_depend_on_the_number_of_threads():
    stimulus = ToneStimulus(phase="per_dataset", fibres_per_ear=10)
    events = stimulus.draw(100, seed=1).events
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = IdealObserver(stimulus, 12).decide(events)
        torch.set_num_threads(3)
        three = IdealObserver(stimulus, 12).decide(events)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one.angle, three.angle)
    assert torch.equal(one.uncertainty, three.uncertainty)


def test_one_class_and_very_many():
    stimulus = tiny()
    events = stimulus.draw(3, seed=1).events
    assert (IdealObserver(stimulus, 1).decide(events).label == 0).all()
    mass = IdealObserver(stimulus, 4096).posterior(events).class_mass(4096)
    np.testing.assert_allclose(mass.sum(axis=1), 1)
    with pytest.raises(UserError, match="number of classes is 0"):
        IdealObserver(stimulus, 0)


# Judged by the true angles


@pytest.mark.parametrize("changes", [{"frequency": 50, "rate_max": 600, "envelope_power": 2}, {"fibres_per_ear": 5}])
@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
def test_judgement_is_read_off_the_posteriors(changes, phase):
    stimulus = ToneStimulus(phase=phase, **changes)
    sounds = stimulus.draw(40, seed=2)
    observer, angle = IdealObserver(stimulus, 12), sounds.angle.numpy()
    judgement, posterior = observer.judge(sounds.events, sounds.angle), observer.posterior(sounds.events)
    np.testing.assert_allclose(judgement.below, posterior.below(angle), atol=2e-3)
    np.testing.assert_allclose(np.exp(judgement.log_density), posterior.density_at(angle), rtol=0.02, atol=0.02)
    mass = posterior.class_mass(12)[np.arange(40), class_of_angle(sounds.angle, 12).numpy()]
    np.testing.assert_allclose(np.exp(judgement.log_class), mass, atol=2e-3)
    np.testing.assert_allclose(judgement.error, posterior.mean - angle, atol=1e-4)


def test_one_look_at_the_spikes_gives_decision_and_judgement():
    stimulus = ToneStimulus()
    sounds, observer = stimulus.draw(300, seed=3), IdealObserver(stimulus, 12)
    decision, judgement = observer.decide_and_judge(sounds.events, sounds.angle)
    alone = observer.decide(sounds.events)
    for name in ("angle", "label", "uncertainty"):
        np.testing.assert_array_equal(getattr(decision, name), getattr(alone, name))
    parts = [observer.judge(sounds.events.sounds(*ends), sounds.angle[slice(*ends)]) for ends in ((0, 256), (256, 300))]
    joined = Judgement.join(parts)
    for name in ("below", "log_density", "log_class", "error"):
        np.testing.assert_array_equal(getattr(judgement, name), getattr(joined, name))


@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
def test_true_angles_are_spread_evenly_over_their_posteriors(phase):
    stimulus = ToneStimulus(phase=phase)
    sounds = stimulus.draw(1500, seed=5)
    judgement = IdealObserver(stimulus, 12).judge(sounds.events, sounds.angle)
    assert kstest(judgement.below, "uniform").pvalue > 1e-3
    for level in (0.68, 0.95):
        covered = np.mean(np.abs(2 * judgement.below - 1) <= level)
        assert covered == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 1500))


def test_spikes_that_say_nothing_cost_as_much_as_guessing():
    stimulus = ToneStimulus(rate_max=0)
    sounds = stimulus.draw(5, seed=1)
    judgement = IdealObserver(stimulus, 12).judge(sounds.events, sounds.angle)
    np.testing.assert_allclose(judgement.log_class, -math.log(12))
    np.testing.assert_allclose(judgement.log_density, -math.log(math.pi))
