import math

import pytest

from spikeloc.observers.bounds import bounds
from spikeloc.observers.circular_mean import CircularMean
from spikeloc.observers.ideal import IdealObserver
from spikeloc.stimuli import ToneStimulus
from spikeloc.thresholds import thresholds

NATURAL = ToneStimulus(frequency=500, dt=1e-4, duration=0.05, fibres_per_ear=40, rate_max=300, envelope_power=2)


@pytest.fixture(scope="module")
def found():
    observers = {"ideal": IdealObserver(NATURAL, 12), "network": CircularMean(NATURAL, 12)}
    return thresholds(observers, NATURAL, n=1000, seed=0)


def test_the_ideal_observer_is_at_the_bound_and_nobody_below_it(found):
    least = 0.9539 * math.degrees(bounds(NATURAL, 1).sd)
    assert found["cramer_rao"]["ipd_deg"] == pytest.approx(least, rel=1e-3)
    low, high = found["ideal"]["ipd_deg_ci95"]
    assert 0.9 * low < least < 1.1 * high
    ratio_low, ratio_high = found["network_over_ideal_ci95"]
    assert ratio_low < found["network_over_ideal"] < ratio_high
    assert ratio_high > 1


def test_phase_and_time_are_the_same_difference(found):
    for name in ("ideal", "network", "cramer_rao", "people"):
        assert found[name]["itd_us"] == pytest.approx(found[name]["ipd_deg"] / 360 / 500 * 1e6)
    assert found["people"]["itd_us"] == pytest.approx(10)
    assert "Mills" in found["people"]["source"]


def test_the_psychometric_function_rises_through_the_threshold(found):
    curve = found["psychometric_function"]
    for name in ("ideal", "network"):
        assert curve[name][0] < 0.65
        assert curve[name][-1] > 0.95
        above = next(k for k, share in enumerate(curve[name]) if share > 0.75)
        assert curve["ipd_deg"][above - 1] * 0.8 < found[name]["ipd_deg"] < curve["ipd_deg"][above] * 1.25


@pytest.mark.parametrize("frequency", [20, 100, 2000])
def test_people_are_left_away_where_they_do_not_hear_the_timing_of_a_tone(frequency):
    stimulus = NATURAL.model_copy(update={"frequency": frequency, "fibres_per_ear": 5})
    assert "people" not in thresholds({"ideal": IdealObserver(stimulus, 12)}, stimulus, n=60, seed=0)


def test_an_observer_that_tells_nothing_has_no_threshold():
    deaf = ToneStimulus(rate_max=0, fibres_per_ear=1)
    found = thresholds({"ideal": IdealObserver(deaf, 12)}, deaf, n=200, seed=0)
    assert found["ideal"]["ipd_deg"] is None
    assert found["ideal"]["itd_us_ci95"][1] is None
    assert "cramer_rao" not in found
    assert "psychometric_function" not in found
