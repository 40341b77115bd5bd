"""The shipped model: what its recipe trains, small, and as good as its metrics say."""

import math

import pytest

from spikeloc.audio import shipped_sounds
from spikeloc.compiled import threads_for_loops
from spikeloc.evaluation import observe, score
from spikeloc.localisation import localise_file
from spikeloc.recipe import load_recipe
from spikeloc.runs import Run
from spikeloc.training import train


@pytest.fixture(scope="module")
def shipped():
    return Run.find("head")


def test_it_is_small_and_its_recipe_is_the_shipped_one(shipped):
    assert sum(path.stat().st_size for path in shipped.path.iterdir()) < 1e6
    assert shipped.recipe == load_recipe("head")


def test_it_scores_what_its_metrics_say(shipped):
    recipe, claimed = shipped.recipe, shipped.metrics
    assert claimed["n_sounds"] == recipe.evaluation.sounds
    with threads_for_loops():
        trial = observe({"network": shipped.observer()}, recipe.stimulus, 320, seed=77)
    found = score(trial.angle, trial.decisions["network"], recipe.readout.classes, recipe.stimulus.limit)
    # Other sounds, so two intervals have to meet, each a little wider than 95 %.
    low, high = found["mean_absolute_error_deg_ci95"]
    claimed_low, claimed_high = claimed["mean_absolute_error_deg_ci95"]
    slack = 0.3 * (high - low)
    assert low - slack < claimed_high
    assert claimed_low < high + slack


def test_its_recipe_learns(tmp_path):
    # Fewer neurons than the recipe's: least squares on so few sounds would fit those of all 800 to chance.
    short = {"network.hidden": [160, 64], "training.begin_sounds": 960, "training.begin_epochs": 8}
    short |= {"training.sounds": 320, "training.epochs": 1, "training.validation_sounds": 0}
    run = train(load_recipe("head").with_values(short), tmp_path / "short")
    assert run.history[0]["loss"] < math.log(2 * math.pi) - 1.5  # far below a network that knows nothing


def test_it_hears_where_the_shipped_recording_comes_from():
    demo = shipped_sounds()["demo"]
    found = localise_file(demo.path)
    assert abs(found.azimuth - demo.azimuth) < math.radians(8)
    mirrored = abs(found.azimuth + demo.azimuth)
    assert mirrored > math.radians(60)  # left and right are not exchanged
