"""The classical observers: right on average, blind to the common phase, never better than the ideal observer."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import isotonic_regression

from spikeloc.angles import class_of_angle
from spikeloc.errors import UserError
from spikeloc.observers import IdealObserver, classical_observers
from spikeloc.observers.circular_mean import CircularMean
from spikeloc.observers.coincidences import POINTS, SPACING, Ears, box, coincidences, gaussian, hear, peak
from spikeloc.observers.cross_correlation import CrossCorrelation
from spikeloc.observers.equalisation_cancellation import EqualisationCancellation, cancelling_delay, residual
from spikeloc.observers.folding import FoldingGrid
from spikeloc.observers.hemispheric import Hemispheric, isotonic
from spikeloc.observers.jeffress import Jeffress
from spikeloc.observers.pattern_match import PatternMatch
from spikeloc.stimuli import ToneStimulus

NAMES = {
    "circular_mean",
    "cross_correlation",
    "jeffress",
    "hemispheric",
    "pattern_match",
    "equalisation_cancellation",
}
FITTED = [Jeffress, Hemispheric, PatternMatch, EqualisationCancellation]
STIMULI = {
    "seed": {},
    "published": {"frequency": 50, "rate_max": 600, "envelope_power": 2, "right_delays": "equal"},
    "fixed": {"phase": "fixed", "right_delays": "equal"},
}


@cache
def fitted(stimulus):
    return classical_observers(stimulus, 12, seed=1, n_sounds=1024)


@pytest.fixture(scope="module", params=STIMULI)
def judged(request):
    """Angles, ideal decisions and each classical observer's decisions about 1,000 sounds."""
    stimulus = ToneStimulus(**STIMULI[request.param])
    observers = fitted(stimulus)
    sounds = stimulus.draw(1000, seed=2)
    ideal = IdealObserver(stimulus, 12).decide(sounds.events)
    return request.param, sounds.angle, ideal, {name: each.decide(sounds.events) for name, each in observers.items()}


def test_all_are_there(judged):
    assert set(judged[3]) == NAMES


def test_the_ideal_observer_is_better_than_each(judged):
    _, angle, ideal, decisions = judged
    for name, decision in decisions.items():
        worse = (decision.angle - angle).abs() - (ideal.angle - angle).abs()
        assert float(worse.mean()) > 2 * float(worse.std()) / math.sqrt(len(angle)), name
        label = class_of_angle(angle, 12)
        gained = (ideal.label == label).double() - (decision.label == label).double()
        assert float(gained.mean()) > -2 * float(gained.std()) / math.sqrt(len(angle)), name


def test_each_is_good_and_without_bias(judged):
    _, angle, ideal, decisions = judged
    floor = float((ideal.angle - angle).abs().mean())
    for name, decision in decisions.items():
        error = decision.angle - angle
        # Not knowing a phase that is fixed costs the square root of two.
        assert float(error.abs().mean()) < 1.8 * math.sqrt(2) * floor, name
        assert abs(float(error.mean())) < 4 * float(error.std()) / math.sqrt(len(angle)), name
        assert torch.equal(decision.label, class_of_angle(decision.angle, 12)), name


def test_the_circular_mean_reaches_98_percent_of_the_best_precision():
    stimulus = ToneStimulus(**STIMULI["published"])
    sounds = stimulus.draw(2048, seed=3)
    error = CircularMean(stimulus, 12).decide(sounds.events).angle - sounds.angle
    best = IdealObserver(stimulus, 12).decide(sounds.events).angle - sounds.angle
    assert 0.9 < float(best.std() / error.std()) < 1


@pytest.mark.parametrize("right_delays", ["reversed", "equal"])
def test_none_relies_on_the_phase(right_delays):
    observers = fitted(ToneStimulus(right_delays=right_delays))
    fixed = ToneStimulus(right_delays=right_delays, phase="fixed").draw(400, seed=5)
    drawn = ToneStimulus(right_delays=right_delays).draw(400, seed=5)
    for name, observer in observers.items():
        errors = [
            float((observer.decide(sounds.events).angle - sounds.angle).abs().mean()) for sounds in (fixed, drawn)
        ]
        assert errors[0] == pytest.approx(errors[1], rel=0.2), name


@pytest.mark.parametrize("right_delays", ["reversed", "equal"])
def test_a_louder_noiseless_sound_is_read_exactly(right_delays):
    # A spike wherever the tone is positive: no noise at all, time steps of 3.6 deg.
    stimulus = ToneStimulus(dt=5e-4, right_delays=right_delays)
    angle = torch.tensor([-1.3, -0.4, 0.0, 0.7, 1.2], dtype=torch.float64)
    spikes = stimulus.spike_probability(angle, torch.full_like(angle, 0.4)) > 0.5 * 0.5 / 16
    observers = fitted(stimulus)
    for name in ("circular_mean", "cross_correlation", "jeffress", "equalisation_cancellation"):
        assert float((observers[name].decide(spikes).angle - angle).abs().max().rad2deg()) < 1, name


# Their parts


def test_coincidences_count_pairs_of_spikes():
    stimulus = ToneStimulus(fibres_per_ear=3, duration=0.02)
    sounds = stimulus.draw(2, seed=1)
    grid = FoldingGrid.of(stimulus, POINTS)
    psi = (grid.step[:, None] + grid.delay) % POINTS
    half_width = 20.25
    counted = coincidences(hear(stimulus, sounds.events), box(2 * half_width * 2 * math.pi / POINTS))
    for sound in range(2):
        left, right = psi[:, :3][sounds.spikes[sound, :, :3]], psi[:, 3:][sounds.spikes[sound, :, 3:]]
        for delay in (0, 100, 1000):
            away = np.abs((left[:, None] - right - delay + POINTS // 2) % POINTS - POINTS // 2)
            expected = np.clip(half_width + 0.5 - away, 0, 1).sum()
            assert counted[sound, delay] == pytest.approx(expected, abs=1e-8)


def test_peak_stays_in_the_range_and_refines():
    delays = 2 * math.pi * np.arange(POINTS) / POINTS
    curve = np.cos(delays - np.array([[0.3001], [-0.7123], [3.0]]))
    found = peak(curve, math.pi / 2, between=True)
    np.testing.assert_allclose(found[:2], [0.3001, -0.7123], atol=1e-6)
    assert found[2] == pytest.approx(math.pi / 2, abs=2 * math.pi / POINTS)
    np.testing.assert_allclose(peak(curve, math.pi / 2)[:2], [0.3001, -0.7123], atol=math.pi / POINTS)


def test_residual_is_the_least_over_gains():
    stimulus = ToneStimulus(fibres_per_ear=5)
    ears = hear(stimulus, stimulus.draw(1, seed=1).events)
    jitter = 0.3
    left, right = (np.fft.irfft(ear * gaussian(jitter), POINTS)[0] for ear in (ears.left, ears.right))
    found = residual(ears, jitter)[0]
    for delay in (0, 77, 900):
        gains = np.linspace(0, 3, 30_001)[:, None]
        shifted = np.roll(left, -delay)
        energies = (shifted**2).sum() - 2 * gains[:, 0] * (shifted @ right) + gains[:, 0] ** 2 * (right**2).sum()
        assert found[delay] == pytest.approx(energies.min(), rel=1e-6)


def test_the_hemispheric_map_rises():
    stimulus = ToneStimulus(fibres_per_ear=30)
    fitted = Hemispheric.fit(stimulus, 12, seed=1, n_sounds=512)
    assert (np.diff(fitted.balance) >= 0).all()
    assert (np.diff(fitted.angle) >= 0).all()


def test_isotonic_regression_is_the_nearest_ascending_sequence():
    rng = np.random.default_rng(0)
    for n in (1, 2, 50, 500):
        values = np.sort(rng.normal(size=n)) + rng.normal(0, 0.5, n).round(1)
        np.testing.assert_allclose(isotonic(values), isotonic_regression(values).x, atol=1e-12)


def test_the_delay_that_cancels_best_has_the_least_residual():
    stimulus = ToneStimulus(fibres_per_ear=20)
    ears = hear(stimulus, stimulus.draw(50, seed=1).events)
    for jitter in (0.1, 0.5):
        expected = peak(-residual(ears, jitter), stimulus.max_ipd, between=True)
        np.testing.assert_allclose(cancelling_delay(ears, jitter, stimulus.max_ipd), expected, atol=1e-9)


def test_of_equal_values_the_middle_is_the_peak():
    curve = np.zeros((4, POINTS))
    curve[1, [5, 6, 9]] = 2
    curve[2, [5, 6]] = 2
    curve[3, [-3, -1, 2, 4]] = 2
    np.testing.assert_allclose(peak(curve, math.pi / 2) / SPACING, [0, 6, 6, 2])


def test_fitting_together_is_fitting_alone():
    stimulus = ToneStimulus(fibres_per_ear=10)
    together = classical_observers(stimulus, 12, seed=3, n_sounds=300)
    assert together["jeffress"] == Jeffress.fit(stimulus, 12, seed=3, n_sounds=300)
    alone = PatternMatch.fit(stimulus, 12, seed=3, n_sounds=300)
    np.testing.assert_array_equal(together["pattern_match"].template, alone.template)


def test_fitting_draws_from_the_training_stream_alone():
    stimulus = ToneStimulus(fibres_per_ear=10)
    asked = []

    class Watched(ToneStimulus):
        def draw(self, n=None, *, seed, stream="test", first=0, indices=None):
            asked.append((seed, stream, first, n))
            return super().draw(n, seed=seed, stream=stream, first=first, indices=indices)

    for kind in FITTED:
        kind.fit(Watched(**stimulus.model_dump()), 12, seed=9, n_sounds=300)
    assert set(asked) == {(9, "training", 0, 256), (9, "training", 256, 44)}


def test_fitting_chooses_what_is_best_on_its_sounds():
    stimulus = ToneStimulus(fibres_per_ear=20)
    fitted = Jeffress.fit(stimulus, 12, seed=1, n_sounds=256)
    sounds = stimulus.draw(256, seed=1, stream="training")

    def error(window):
        return float((Jeffress(stimulus, 12, window).estimate(sounds.events) - sounds.angle).abs().mean())

    assert error(fitted.window) <= min(error(2 * math.pi / parts) for parts in (32, 8, 4, 2))


@pytest.mark.parametrize("kind", FITTED)
def test_few_training_sounds(kind):
    stimulus = ToneStimulus(fibres_per_ear=5)
    observer = kind.fit(stimulus, 12, seed=1, n_sounds=1)
    assert observer.decide(stimulus.draw(20, seed=1).events).angle.isfinite().all()
    with pytest.raises(UserError, match="training sounds is 0"):
        kind.fit(stimulus, 12, seed=1, n_sounds=0)


@pytest.mark.parametrize("changes", [{"rate_max": 0}, {"envelope_power": 0}, {"rate_max": 2}])
def test_spikes_that_say_nothing_give_chance(changes):
    stimulus = ToneStimulus(fibres_per_ear=1, **changes)
    sounds = stimulus.draw(600, seed=1)
    for name, observer in classical_observers(stimulus, 12, seed=1, n_sounds=512).items():
        decision = observer.decide(sounds.events)
        assert decision.angle.isfinite().all(), name
        right = float((decision.label == class_of_angle(sounds.angle, 12)).double().mean())
        assert right == pytest.approx(1 / 12, abs=4 * math.sqrt(1 / 12 / 600)), name


def test_no_spikes_are_straight_ahead_without_a_fit():
    stimulus = ToneStimulus(rate_max=0)
    for observer in (CircularMean(stimulus, 12), CrossCorrelation(stimulus, 12), Jeffress(stimulus, 12, 1.0)):
        assert (observer.decide(stimulus.draw(2, seed=1).events).angle == 0).all()


def test_pairs_have_equal_delays():
    # Reversing the right ear's fibres together with their delays changes nothing.
    one, other = ToneStimulus(right_delays="equal"), ToneStimulus(right_delays="reversed")
    spikes = one.draw(5, seed=1).spikes
    ears = spikes.reshape(5, one.n_steps, 2, one.fibres_per_ear).clone()
    ears[:, :, 1] = ears[:, :, 1].flip(2)
    found = CrossCorrelation(one, 12).localise(spikes)
    torch.testing.assert_close(CrossCorrelation(other, 12).localise(ears.reshape(spikes.shape)), found)


def test_ears_in_parts():
    ears = Ears(np.arange(6).reshape(3, 2), np.arange(6).reshape(3, 2) + 10)
    assert ears.part(1, 3).left.tolist() == [[2, 3], [4, 5]]
    assert ears.part(1, 9).right.tolist() == [[12, 13], [14, 15]]
