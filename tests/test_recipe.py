import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloc.errors import UserError
from spikeloc.recipe import RatePenalty, Recipe, load_recipe, parse_recipe, read_word, shipped_recipes
from spikeloc.training import train

CONTRACT = {"seed-membrane", "seed-spiking", "tone", "tone-regression", "minimal-model"}


def refusal(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_recipes_of_the_contract_are_shipped():
    recipes = shipped_recipes()
    assert set(recipes) >= CONTRACT
    assert all(recipe.name == name and recipe.description for name, recipe in recipes.items())


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_loads_and_trains(name, tmp_path):
    short = {"training.sounds": 64, "training.batch": 32, "training.epochs": 1, "training.validation_sounds": 32}
    short |= {
        "training.begin_sounds": 128,
        "training.begin_epochs": 1,
        "training.refit_sounds": 128 if "tone" in name else 0,
    }
    run = train(load_recipe(name).with_values(short), tmp_path / name)
    assert math.isfinite(run.history[0]["loss"])
    assert run.observer().localise(run.recipe.stimulus.draw(3, seed=1).spikes).shape == (3,)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_written_recipe_reads_back_equal(name):
    recipe = load_recipe(name)
    assert parse_recipe(recipe.to_toml(), "other") == recipe


@given(st.floats(1e-6, 10), st.lists(st.integers(1, 300), max_size=3), st.integers(0, 2**63 - 1))
def test_any_recipe_survives_writing(tau, hidden, seed):
    recipe = Recipe.read({"seed": seed, "network": {"hidden": hidden, "tau": f"{tau!r} s"}})
    assert parse_recipe(recipe.to_toml(), "x") == recipe


def test_seed_recipes_are_the_seeds_numbers():
    stimulus = load_recipe("seed-membrane").stimulus
    assert (stimulus.frequency, stimulus.rate_max, stimulus.envelope_power) == (20, 1000, 4)
    assert (stimulus.n_steps, stimulus.n_fibres, stimulus.phase, stimulus.right_delays) == (
        100,
        200,
        "fixed",
        "reversed",
    )
    training = load_recipe("seed-membrane").training
    assert (training.sounds, training.batch, training.epochs, training.learning_rate) == (16384, 128, 10, 0.01)
    assert not training.fresh
    assert load_recipe("seed-membrane").network.hidden == ()
    assert load_recipe("seed-spiking").network.hidden == (30,)


def test_overrides():
    recipe = load_recipe("tone").with_values(
        {
            "network.hidden": "64,32",
            "network.tau": "5 ms",
            "training.epochs": "3",
            "seed": "7",
            "training.fresh": "false",
        }
    )
    assert recipe.network.hidden == (64, 32)
    assert recipe.network.tau == 0.005
    assert (recipe.training.epochs, recipe.seed, recipe.training.fresh) == (3, 7, False)
    assert load_recipe("tone").with_values({"network.hidden": "16"}).network.hidden == (16,)
    assert load_recipe("tone").with_values({"network.hidden": "[]"}).network.hidden == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.5", 0.5), ("true", True), ("20 ms", "20 ms"), ("1,2", [1, 2]), ("5 ms,2 ms", ["5 ms", "2 ms"])],
)
def test_words_of_a_command_line(text, value):
    assert read_word(text) == value


def test_mistakes_are_one_sentence(tmp_path):
    tone = load_recipe("tone")
    assert "did you mean 'tone'" in refusal(load_recipe, "tonne")
    assert "did you mean 'tau'" in refusal(tone.with_values, {"network.tua": "5 ms"})
    assert "did you mean 'network'" in refusal(tone.with_values, {"netwerk.tau": "5 ms"})
    assert "not a section" in refusal(tone.with_values, {"seed.tau": "5 ms"})
    assert "3 time constants" not in refusal(tone.with_values, {"network.tau": "5 ms,2 ms"})
    assert "2 time constants for 1 hidden" in refusal(tone.with_values, {"network.tau": "5 ms,2 ms"})
    assert "not above" in refusal(lambda: RatePenalty(lower=200, upper=100, weight=1))
    broken = tmp_path / "broken.toml"
    broken.write_text("[network\n")
    assert "not valid TOML" in refusal(load_recipe, broken)
    broken.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(load_recipe, broken)
    assert "cannot read" in refusal(load_recipe, tmp_path)


@pytest.mark.parametrize("key", ["training.sounds", "training.batch", "stimulus.fibres_per_ear", "readout.classes"])
@pytest.mark.parametrize("value", ["0", "-3", "nan", "2.5"])
def test_sizes_must_be_positive_whole_numbers(key, value):
    refusal(load_recipe("tone").with_values, {key: value})


@pytest.mark.parametrize("key", ["stimulus.frequency", "stimulus.dt", "stimulus.duration", "network.tau"])
@pytest.mark.parametrize("value", ["0 ms", "-1 ms", "nan", "1e400 ms", "5"])
def test_quantities_must_be_positive_and_finite(key, value):
    refusal(load_recipe("tone").with_values, {key: value.replace("ms", "Hz") if "freq" in key else value})
