import math

import numpy as np
import pytest
import torch
from scipy import stats

from spikeloc.angles import angle_of_class, class_of_angle
from spikeloc.errors import UserError
from spikeloc.evaluation import evaluate, observe, score, wilson_interval
from spikeloc.readout import Decision
from spikeloc.stimuli import ToneStimulus

LIMIT = math.pi / 2
CONTRACT = {
    "accuracy",
    "accuracy_ci95",
    "chance",
    "mean_absolute_error_deg",
    "mean_absolute_error_deg_ci95",
    "median_absolute_error_deg",
    "quantisation_floor_deg",
    "class_error_deg",
    "confusion",
    "n_sounds",
    "seed",
}


def by_label(angle, label):
    return score(angle, Decision(angle_of_class(label, 12), label), 12, LIMIT)


def evenly(n):
    """Angles spread evenly, never on a boundary."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n * math.pi - LIMIT


def test_a_perfect_classifier_meets_the_quantisation_floor():
    angle = evenly(12_000)
    metrics = by_label(angle, class_of_angle(angle, 12))
    assert metrics["accuracy"] == 1
    assert metrics["class_error_deg"] == 0
    assert metrics["mean_absolute_error_deg"] == pytest.approx(metrics["quantisation_floor_deg"], rel=1e-6)
    assert metrics["quantisation_floor_deg"] == pytest.approx(3.75)
    assert metrics["confusion"] == (1000 * np.eye(12)).astype(int).tolist()


def test_the_two_errors_are_different_things():
    """One class too far to the right: 15 deg between classes; against the true angle, (7.5 + 22.5) / 2."""
    angle = evenly(12_000)[:11_000]
    metrics = by_label(angle, class_of_angle(angle, 12) + 1)
    assert metrics["accuracy"] == 0
    assert metrics["class_error_deg"] == pytest.approx(15)
    assert metrics["mean_absolute_error_deg"] == pytest.approx(15, rel=1e-3)
    assert metrics["median_absolute_error_deg"] == pytest.approx(15, rel=1e-2)


def test_confusion_has_estimates_in_rows_and_truth_in_columns():
    angle = torch.tensor([-1.5, -1.5, 1.5])
    label = torch.tensor([3, 3, 0])
    confusion = np.array(by_label(angle, label)["confusion"])
    assert confusion[3, 0] == 2
    assert confusion[0, 11] == 1
    assert confusion.sum() == 3


def test_always_the_same_answer_scores_chance():
    angle = evenly(1200)
    metrics = by_label(angle, torch.full((1200,), 5))
    assert metrics["accuracy"] == pytest.approx(metrics["chance"])
    assert metrics["accuracy_ci95"][0] < 1 / 12 < metrics["accuracy_ci95"][1]


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (4012, 4096)])
def test_wilson_interval_solves_its_equation(successes, n):
    """Its ends p satisfy |successes/n - p| = z sqrt(p (1 - p) / n)."""
    z = stats.norm.ppf(0.975)
    for p in wilson_interval(successes, n):
        assert abs(successes / n - p) == pytest.approx(z * math.sqrt(p * (1 - p) / n), abs=1e-9)


def test_interval_of_the_mean_error_covers_the_mean():
    """In about 95 of 100 repeats; a ninety-percent interval would fail."""
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(1000):
        error = torch.rand(400, generator=generator, dtype=torch.float64) * 0.2
        decision = Decision(error, torch.zeros(400, dtype=torch.long))
        low, high = score(torch.zeros(400).double(), decision, 12, LIMIT)["mean_absolute_error_deg_ci95"]
        covered += low < math.degrees(0.1) < high
    assert 930 <= covered <= 970


def test_a_run_is_scored_by_the_contract(tiny_run):
    metrics = evaluate(tiny_run)
    assert set(metrics) >= CONTRACT
    assert (metrics["n_sounds"], metrics["seed"]) == (100, 0)
    assert np.sum(metrics["confusion"]) == 100
    assert evaluate(tiny_run) == metrics
    assert evaluate(tiny_run, seed=1)["confusion"] != metrics["confusion"]


class Oracle:
    """Counts the spikes it is shown and answers zero."""

    def __init__(self):
        self.seen = 0

    def decide(self, spikes):
        self.seen += spikes.shape[0]
        return Decision(torch.zeros(spikes.shape[0]).double(), torch.zeros(spikes.shape[0]).long())


def test_every_observer_hears_the_same_sounds():
    stimulus = ToneStimulus(fibres_per_ear=2, duration=0.05)
    one, other = Oracle(), Oracle()
    trial = observe({"one": one, "other": other}, stimulus, 300, seed=4)
    assert one.seen == other.seen == 300
    assert torch.equal(trial.angle, stimulus.draw(300, seed=4, stream="test").angle)


def test_no_sounds_are_refused(tiny_run):
    with pytest.raises(UserError, match="at least 1"):
        evaluate(tiny_run, sounds=0)
