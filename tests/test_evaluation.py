import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from spikeloc.angles import angle_of_class, class_of_angle
from spikeloc.errors import UserError
from spikeloc.evaluation import ceiling, evaluate, observe, score, wilson_interval
from spikeloc.observers.ear_correlation import ear_observers
from spikeloc.readout import Decision
from spikeloc.recipe import Recipe
from spikeloc.runs import Run
from spikeloc.stimuli import ToneStimulus
from spikeloc.training import train

LIMIT = math.pi / 2
CONTRACT = {
    "accuracy",
    "accuracy_ci95",
    "chance",
    "mean_absolute_error_deg",
    "mean_absolute_error_deg_ci95",
    "median_absolute_error_deg",
    "root_mean_square_error_deg",
    "root_mean_square_error_deg_ci95",
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


# ------------------------------------------------------------------------------------------------------- yardsticks


def told(metrics):
    """As it is written into a file: no number that JSON does not know."""
    return json.loads(json.dumps(metrics, allow_nan=False))


def test_a_tone_is_scored_beside_its_yardsticks(tiny_run):
    metrics = told(evaluate(tiny_run))
    assert set(metrics) >= {"bound", "least_loss", "calibration", "thresholds", "head", "notes", "error_histogram"}
    assert metrics["bound"]["accuracy"] > metrics["chance"]
    assert 0 < metrics["least_loss"] < math.log(4)
    assert sum(metrics["error_histogram"]["network"]) == sum(metrics["error_histogram"]["ideal"]) == 100
    assert "mean_absolute_error_us" not in metrics  # 20 Hz: no head makes this
    assert "degrees of phase" in metrics["head"]["statement"]
    # A classifier has no threshold, and it is said why.
    assert "network" not in metrics["thresholds"]
    assert any("one of 4 classes" in note for note in metrics["notes"])
    assert "network" not in metrics["calibration"]


def test_all_but_the_thresholds_is_known_before(tiny_run):
    early = []
    metrics = evaluate(tiny_run, known=early.append)
    assert early == [{key: value for key, value in metrics.items() if key != "thresholds"}]


@pytest.mark.parametrize("phase", ["fixed", "per_sound", "per_dataset"])
def test_the_ideal_observer_is_judged_as_if_it_were_asked_once_more(phase, tiny_recipe, monkeypatch):
    recipe = tiny_recipe.with_values({"stimulus.phase": phase})
    once = ceiling(recipe, sounds=300)
    monkeypatch.setattr("spikeloc.evaluation.MOST_SOUNDS", 0)  # so that the yardsticks ask themselves
    assert ceiling(recipe, sounds=300) == once


def test_a_direction_has_a_threshold_and_a_certainty_and_a_head_has_its_units(tiny_recipe, tmp_path):
    natural = {"stimulus.frequency": "500 Hz", "stimulus.dt": "0.2 ms", "stimulus.duration": "20 ms"}
    recipe = tiny_recipe.with_values({"readout.kind": "direction", **natural})
    metrics = told(evaluate(train(recipe, tmp_path / "run")))
    assert {"network", "ideal", "people", "network_over_ideal"} <= metrics["thresholds"].keys()
    assert {"network", "ideal"} == metrics["calibration"].keys()
    assert metrics["notes"] == []
    assert metrics["mean_absolute_error_us"] == pytest.approx(metrics["mean_absolute_error_deg"] / 360 / 500 * 1e6)
    for each in (metrics, metrics["ideal"], *metrics["observers"].values()):
        assert each["mean_absolute_error_azimuth_deg"] > 0
    small = told(evaluate(Run.open(tmp_path / "run"), sounds=20))
    assert "thresholds" not in small
    assert any("20 test sounds are fewer than 50" in note for note in small["notes"])


def test_the_radius_of_the_head_is_a_setting(tiny_recipe):
    recipe = tiny_recipe.with_values({"stimulus.frequency": "500 Hz", "stimulus.dt": "0.2 ms"})
    child = recipe.with_values({"evaluation.head_radius": "7 cm"})
    usual, small = ceiling(recipe, sounds=60), ceiling(child, sounds=60)
    assert small["head"]["head_radius_m"] == 0.07
    assert small["ideal"]["mean_absolute_error_us"] == usual["ideal"]["mean_absolute_error_us"]
    assert small["ideal"]["mean_absolute_error_azimuth_deg"] > usual["ideal"]["mean_absolute_error_azimuth_deg"]


def test_the_least_loss_is_lower_than_any_networks():
    """Of each kind of readout, on the sounds of a run of that kind."""
    recipe = Recipe(stimulus=ToneStimulus(fibres_per_ear=5, duration=0.05, dt=0.002, rate_max=500))
    expected = {"class": math.log(12), "angle": 1 / 3, "direction": math.log(math.pi)}
    for kind, nothing in expected.items():
        deaf = recipe.with_values({"readout.kind": kind, "stimulus.rate_max": "0/s"})
        assert ceiling(deaf, sounds=200)["least_loss"] == pytest.approx(nothing, rel=0.15)
        assert ceiling(recipe.with_values({"readout.kind": kind}), sounds=200)["least_loss"] < 0.8 * nothing


@pytest.mark.parametrize(
    "silence", [{"stimulus.rate_max": "0/s"}, {"stimulus.rate_max": "0/s", "stimulus.fibres_per_ear": 1}]
)
def test_spikes_that_say_nothing_give_chance_and_a_sentence(silence, tiny_recipe, tmp_path):
    recipe = tiny_recipe.with_values(silence)
    metrics = told(evaluate(train(recipe, tmp_path / "run"), sounds=400))
    for each in (metrics, metrics["ideal"], metrics["observers"]["circular_mean"]):
        assert each["accuracy_ci95"][0] - 0.05 < 0.25 < each["accuracy_ci95"][1] + 0.05
    assert metrics["bound"] is None
    assert "thresholds" not in metrics
    assert any("say nothing about the angle" in note for note in metrics["notes"])


def test_one_fibre_for_each_ear_says_a_little(tiny_recipe):
    metrics = told(ceiling(tiny_recipe.with_values({"stimulus.fibres_per_ear": 1}), sounds=1000))
    assert metrics["ideal"]["accuracy"] > metrics["ideal"]["chance"]
    assert metrics["bound"]["sd_deg"] > 10


@pytest.mark.parametrize("classes", [1, 4096])
def test_absurd_numbers_of_classes(classes, tiny_recipe):
    metrics = told(ceiling(tiny_recipe.with_values({"readout.classes": classes}), sounds=60))
    assert metrics["ideal"]["chance"] == 1 / classes
    if classes == 1:
        assert metrics["ideal"]["accuracy"] == 1
        assert any("one class" in note for note in metrics["notes"])
    else:
        assert metrics["ideal"]["confusion"] is None


def test_one_sound(tiny_run):
    metrics = told(evaluate(tiny_run, sounds=1))
    assert metrics["fraction_of_ideal"] is None or metrics["fraction_of_ideal"] in (0, 1)
    assert np.sum(metrics["confusion"]) == 1


@pytest.mark.parametrize("sounds", [0, -3])
def test_a_ceiling_of_no_sounds_is_refused(sounds, tiny_recipe):
    with pytest.raises(UserError, match=f"number of test sounds is {sounds}; it must be at least 1"):
        ceiling(tiny_recipe, sounds=sounds)


def test_an_edge_in_the_spike_probability_has_no_bound_and_says_so(tiny_recipe):
    metrics = told(ceiling(tiny_recipe.with_values({"stimulus.rate_max": "1000/s"}), sounds=60))
    assert metrics["bound"] is None
    assert any("has an edge" in note for note in metrics["notes"])


# ----------------------------------------------------------------------------------------------------------- scenes


def test_a_scene_is_scored_beside_the_correlations_of_its_ears(scene_run, scene_recipe):
    metrics = told(evaluate(scene_run))
    assert set(metrics) >= CONTRACT
    assert metrics["ideal"] is metrics["fraction_of_ideal"] is None
    assert any("no ideal observer" in note for note in metrics["notes"])
    names = {"gcc_phat", "ear_correlation"}
    assert metrics["observers"].keys() == metrics["versus"].keys() == names
    for table in ("error_by_angle", "error_histogram", "estimates"):
        assert metrics[table].keys() >= {"network", *names}
    for name in names:
        each = metrics["observers"][name]
        assert set(each) >= CONTRACT - {"n_sounds", "seed"}
        difference = metrics["mean_absolute_error_deg"] - each["mean_absolute_error_deg"]
        assert metrics["versus"][name]["error_difference_deg"] == pytest.approx(difference)
    # In silence around, phases tell the angle to a fraction of a degree; and the network has learned.
    assert metrics["observers"]["gcc_phat"]["mean_absolute_error_deg"] < 1
    assert metrics["mean_absolute_error_deg"] < 32
    assert metrics["people"]["root_mean_square_error_deg"] == 6.2
    assert metrics["calibration"].keys() == {"network"}
    assert metrics["calibration"]["network"]["rms_error_deg"] == pytest.approx(metrics["root_mean_square_error_deg"])
    assert "bound" not in metrics
    assert told(ceiling(scene_recipe))["observers"] == metrics["observers"]


def test_every_observer_hears_the_same_scenes(scene_recipe):
    """Correlations get the pressures of the very sounds whose spikes the others get, in batches of any size."""
    stimulus = scene_recipe.stimulus.model_copy(update={"duration": 0.005})  # several batches in one draw
    trial = observe({"one": Oracle(), **ear_observers(stimulus, 12)}, stimulus, 300, seed=4)
    sounds = stimulus.draw(300, seed=4)
    assert torch.equal(trial.angle, sounds.angle)
    expected = ear_observers(stimulus, 12)["gcc_phat"].localise(sounds.ears)
    torch.testing.assert_close(trial.decisions["gcc_phat"].angle, expected)


def test_ears_of_a_tone_are_refused(scene_recipe):
    with pytest.raises(UserError, match="without sound pressures"):
        observe(ear_observers(scene_recipe.stimulus, 12), ToneStimulus(fibres_per_ear=2), 3, seed=0)


def test_the_root_mean_square_error_is_what_it_says():
    error = torch.tensor([3.0, -4.0], dtype=torch.float64)
    metrics = score(torch.zeros(2).double(), Decision(error.deg2rad(), torch.zeros(2).long()), 12, LIMIT)
    assert metrics["root_mean_square_error_deg"] == pytest.approx(math.sqrt(12.5))
    low, high = metrics["root_mean_square_error_deg_ci95"]
    assert low * high == pytest.approx(12.5)  # the interval is that of a logarithm


def test_interval_of_the_root_mean_square_error_covers_it():
    """Of errors with a heavy tail (Laplace), in about 95 of 100 repeats, and it never reaches zero."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(600):
        error = torch.from_numpy(rng.laplace(0, 0.05, 400))
        decision = Decision(error, torch.zeros(400, dtype=torch.long))
        low, high = score(torch.zeros(400).double(), decision, 12, LIMIT)["root_mean_square_error_deg_ci95"]
        covered += low < math.degrees(0.05 * math.sqrt(2)) < high
        assert low > 0
    assert 0.91 <= covered / 600 <= 0.98
