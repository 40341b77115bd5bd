import base64
import json
import re
import shlex
import tomllib
from html import unescape
from html.parser import HTMLParser

import pytest

from spikeloc.errors import UserError
from spikeloc.evaluation import evaluate, observe, score
from spikeloc.recipe import load_recipe
from spikeloc.report import report
from spikeloc.report.page import _caveats, _command, _head, _notes, _text
from spikeloc.report.scores import certainty, comparison, scores, thresholds
from spikeloc.report.words import task
from spikeloc.runs import Run
from spikeloc.training import train

CAPTIONS = tomllib.loads(_text("captions.toml"))
SPIKING = {"rasters", "firing_rates", "weights_sorted", "weights_product"}
EMPTY = {"meta", "img", "br"}  # elements that have no end
KINDS = {
    "membrane": {"network.hidden": "[]", "training.validation_sounds": 0},
    "deep, counting": {"network.hidden": "4,3", "readout.output": "count"},
    "angle": {"readout.kind": "angle"},
    "direction": {"readout.kind": "direction"},
    "one class, silent": {"readout.classes": 1, "network.weight_gain": 1e-9, "training.epochs": 1},
    "many classes, maximum": {"readout.classes": 150, "readout.output": "max"},
}
TABLE = {"angle_deg": [-45.0, 45.0], "network": [9.0, None], "ideal": [8.0, 7.0]}
HISTOGRAM = {"edges_deg": [-3.0, -1.0, 1.0, 3.0], "network": [1, 5, 2], "ideal": [0, 8, 0]}
SURE = {
    "coverage_68": 0.6, "coverage_68_ci95": [0.5, 0.7], "coverage_95": 0.9, "coverage_95_ci95": [0.8, 0.95],
    "rms_uncertainty_deg": 2.0, "rms_error_deg": 2.5, "nominal": [0, 0.5, 1], "coverage": [0, 0.4, 1],
    "stated_deg": [1.0, 3.0], "found_deg": [1.5, 3.5],
}  # fmt: skip
THRESHOLDS = {
    "n_sounds": 100,
    "network": {"ipd_deg": 3.0, "itd_us": 416.7, "ipd_deg_ci95": [2.5, 3.5], "itd_us_ci95": [350.0, 480.0]},
    "ideal": {"ipd_deg": 2.0, "itd_us": 277.8, "ipd_deg_ci95": [1.9, None], "itd_us_ci95": [260.0, None]},
    "network_over_ideal": 1.5,
    "network_over_ideal_ci95": [1.3, 1.7],
    "cramer_rao": {"ipd_deg": 1.9, "itd_us": 263.9},
    "people": {"ipd_deg": 1.8, "itd_us": 10.0},
    "psychometric_function": {"ipd_deg": [0.5, 2.0, 6.0], "ideal": [0.55, 0.75, 1.0], "network": [0.5, 0.7, 0.9]},
}
YARDSTICKS = {
    "error_by_angle": TABLE, "error_histogram": HISTOGRAM, "thresholds": THRESHOLDS,
    "calibration": {"network": SURE, "ideal": SURE}, "least_loss": 0.1, "notes": ["This is so <because>."],
    "bound": {"sd_deg": 0.8, "mean_absolute_error_deg": 0.64, "accuracy": 0.9}, "head": {"statement": "A <head>."},
}  # fmt: skip
BESIDE = {"error_by_angle", "errors", "psychometric_function", "reliability"}  # drawn where there are yardsticks


class Page(HTMLParser):
    """A page whose elements are all closed in order; collects what it holds and what it points to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.images, self.links, self.text, self.tags = [], set(), [], [], "", set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        if tag not in EMPTY:
            self.open.append(tag)
        self.ids |= {values["id"]} if "id" in values else set()
        self.images += [values["src"]] if tag == "img" else []
        self.links += [values[key] for key in ("href", "src", "action") if key in values and tag != "img"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def finished(recipe, path):
    """A trained run with a score."""
    run = train(recipe, path)
    trial = observe({"network": run.observer()}, recipe.stimulus, 100, seed=recipe.seed)
    metrics = score(trial.angle, trial.decisions["network"], recipe.readout.classes, recipe.stimulus.max_ipd)
    run.write("metrics.json", json.dumps({**metrics, "n_sounds": 100, "seed": recipe.seed}))
    return run


@pytest.fixture(scope="module")
def run(tiny_recipe, tmp_path_factory):
    recipe = tiny_recipe.with_values({"description": "<script>alert('ears')</script> & more"})
    run = finished(recipe, tmp_path_factory.mktemp("a b & 'c' <i>") / "run")
    run.write("metrics.json", json.dumps({**run.metrics, **YARDSTICKS}))
    report(run)
    return run


@pytest.fixture(scope="module")
def text(run):
    return (run.path / "report.html").read_text(encoding="utf-8")


def test_the_report_is_one_whole_page_with_every_section(text):
    page = Page(text)
    assert {"asked", "result", "training", "inside", "recipe", "reproduce"} <= page.ids
    assert page.ids >= set(CAPTIONS)
    assert "$" not in page.text
    assert "nan" not in page.text.lower().split()


def test_nothing_in_it_comes_from_elsewhere(text):
    page = Page(text)
    assert page.links == []
    assert "script" not in page.tags
    assert not re.search(r"https?:|url\(|@import", text)
    assert len(page.images) == len(CAPTIONS)
    for source in page.images:
        kind, data = source.split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")


def test_the_pictures_are_files_too(run, text):
    files = {path.stem: path.read_bytes() for path in (run.path / "figures").iterdir()}
    assert set(files) == set(CAPTIONS)
    for content in files.values():
        assert base64.b64encode(content).decode() in text


def test_text_of_the_recipe_is_escaped(run, text):
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#x27;ears&#x27;)&lt;/script&gt; &amp; more" in text
    assert "<i>" not in text
    page = Page(text)
    assert run.read("recipe.toml").decode() in page.text
    assert shlex.quote(str(run.path / "recipe.toml")) in page.text


def test_the_same_run_gives_the_same_report(run, text):
    assert report(run).read_text(encoding="utf-8") == text


def rows(html):
    """The rows of the first table of scores: the text of the first cell, and that of the others."""
    html = html.partition('<table class="scores">')[2].partition("</table>")[0]
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', html)
    return {unescape(name): unescape(re.sub("<.*?>", " ", rest)) for name, rest in found}


def test_scores_stand_beside_what_bounds_them(run, text):
    metrics, found = run.metrics, rows(text)
    assert f"{100 * metrics['accuracy']:.1f} %" in found["This network"]
    assert f"{metrics['class_error_deg']:.2f}°" in found["This network"]
    assert "25.0 %" in found["Chance"]
    assert "11.25°" in found["A perfect classifier"]
    assert "of ideal" not in Page(text).text


def test_other_observers_have_rows_in_the_same_table(run):
    ideal = {**run.metrics, "accuracy": 0.8, "accuracy_ci95": [0.75, 0.84]}
    found = rows(
        scores(
            {**run.metrics, "accuracy": 0.6, "ideal": ideal, "observers": {"circular_mean<": ideal}}, classifies=True
        )
    )
    assert "75.0 %" in found["This network"]  # 0.6 of 0.8
    assert "80.0 %" in found["Ideal observer"]
    assert "75.0 to 84.0" in found["Circular mean<"]


def test_the_paired_comparison_is_told_if_there_is_one(run):
    assert comparison(run.metrics) == ""
    versus = {
        "accuracy_difference": -0.05,
        "p_value": 0.0123,
        "error_difference_deg": 0.4,
        "error_difference_deg_ci95": [0.3, 0.5],
    }
    assert "−5.0 points of accuracy" in comparison({"versus_ideal": versus})
    assert "p = 0.012" in comparison({"versus_ideal": versus})


def test_a_floor_of_classes_is_given_only_to_classifiers(run):
    assert "A perfect classifier" not in rows(scores(run.metrics, classifies=False))


def test_errors_are_in_a_heads_units_where_there_are_any(run):
    assert "in time" not in scores(run.metrics, classifies=True)
    physical = {f"mean_absolute_error_{unit}": value for unit, value in (("us", 12.34), ("azimuth_deg", 1.5))}
    physical |= {f"{key}_ci95": [value - 1, value + 1] for key, value in physical.items()}
    found = rows(scores({**run.metrics, **physical}, classifies=True))["This network"]
    assert "12.34 µs 11.34 to 13.34" in found
    assert "1.50° 0.50 to 2.50" in found


def test_bounds_thresholds_and_certainty_are_told(run, text):
    assert "90.0 %" in rows(text)["Cramér–Rao bound"]
    found = rows(thresholds(run.metrics))
    words = " ".join(found["This network"].split())
    assert words == "3.00° 2.50 to 3.50 416.7 µs 350.0 to 480.0 × 1.50 1.30 to 1.70"
    assert "1.90 to ∞" in found["Ideal observer"]
    assert "× 0.90" in found["People"]
    assert "60.0 % (50.0 to 70.0)" in certainty(run.metrics)
    assert "A &lt;head&gt;." in _head(run.metrics)
    assert "This is so &lt;because&gt;." in _notes(run.metrics)


def test_what_is_not_known_is_left_away():
    assert thresholds({}) == certainty({}) == _head({}) == _notes({}) == ""
    nothing = {"ipd_deg": None, "itd_us": None, "ipd_deg_ci95": [1.0, None], "itd_us_ci95": [1.0, None]}
    assert "none in the range" in thresholds({"thresholds": {"n_sounds": 9, "network": nothing, "ideal": nothing}})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_has_its_report(kind, tiny_recipe, tmp_path):
    run = finished(tiny_recipe.with_values(KINDS[kind]), tmp_path / "run")
    page = Page(report(run).read_text(encoding="utf-8"))
    assert page.ids & set(CAPTIONS) == set(CAPTIONS) - BESIDE - (SPIKING if kind == "membrane" else set())
    assert "nan" not in page.text.lower().split()


def test_caveats_of_the_stimulus_are_told(tiny_recipe):
    assert "not a whole number" in _caveats(tiny_recipe.with_values({"stimulus.frequency": "30 Hz"}))


@pytest.mark.parametrize("name", ["recipe", "history", "metrics", "model", "environment"])
def test_a_run_that_lacks_something_is_refused(name, run, tmp_path):
    for item in run.path.iterdir():
        if item.is_file() and item.stem != name:
            (tmp_path / item.name).write_bytes(item.read_bytes())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=rf"{name}\."):
        report(Run(tmp_path))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("history", ["", "epoch,loss,seconds\n", "epoch\n1\n"])
def test_a_damaged_history_is_refused(history, run, tmp_path):
    for item in run.path.iterdir():
        if item.is_file():
            (tmp_path / item.name).write_bytes(item.read_bytes())
    (tmp_path / "history.csv").write_text(history)
    with pytest.raises(UserError, match=r"history\.csv is damaged"):
        report(Run(tmp_path))


def test_the_command_names_a_shipped_recipe_where_it_can(tmp_path):
    tone = load_recipe("tone")
    run = Run(tmp_path / "my run")
    assert _command(run, tone) == "spikeloc train tone --out again"
    assert _command(run, tone.with_values({"seed": 3})) == "spikeloc train tone --seed 3 --out again"
    longer = tone.with_values({"seed": 3, "training.epochs": 2})
    assert _command(run, longer) == "spikeloc train tone --seed 3 --epochs 2 --out again"
    other = unescape(_command(run, tone.with_values({"network.hidden": "5"})))
    assert other == f"spikeloc train '{run.path / 'recipe.toml'}' --out again"


# ----------------------------------------------------------------------------------------------------------- scenes


@pytest.fixture(scope="module")
def scene_text(scene_run, tmp_path_factory):
    """The report of a copy of the small network's run."""
    run = Run(tmp_path_factory.mktemp("scene") / "run")
    run.path.mkdir()
    for item in scene_run.path.iterdir():
        if item.is_file():
            (run.path / item.name).write_bytes(item.read_bytes())
    run.write("metrics.json", json.dumps(evaluate(scene_run, sounds=60)))
    return report(run).read_text(encoding="utf-8")


def test_a_report_of_scenes_speaks_of_azimuths(scene_text, scene_run):
    page = Page(scene_text)
    drawn = {"spike_trains", "estimates", "errors", "error_by_angle", "reliability", "loss", "traces", "weights"}
    assert page.ids >= drawn | SPIKING
    assert not page.ids & {"confusion", "histograms", "psychometric_function"}
    assert "nan" not in page.text.lower().split()
    for word in ("IPD", "interaural phase", "Cramér", "A tone of", "ideal observer:", "None"):
        assert word not in page.text.replace(scene_run.read("recipe.toml").decode(), "")
    assert "through the head spherical, from an azimuth between −90°" in page.text
    assert "At each ear a cochlea of 4 channels excites 64 auditory-nerve fibres" in page.text
    assert "cochlea.channels" in page.text
    assert scene_text.index('id="estimates"') < scene_text.index('id="errors"')


def test_the_scores_of_scenes_stand_beside_correlations_and_people(scene_text):
    found = rows(scene_text)
    assert list(found) == ["This network", "GCC-PHAT", "Correlation of the ears", "People, free field", "Chance"]
    assert "6.2° ± 1.8 over listeners" in found["People, free field"]
    text = Page(scene_text).text
    assert "Sound by sound against GCC-PHAT:" in text
    assert "they tell apart about 1°" in text
    assert "There is no ideal observer here" in text
    assert "Its 68 % intervals hold" in text


def test_what_makes_scenes_difficult_is_told(scene_recipe):
    assert "diffuse" not in task(scene_recipe)
    noisy = scene_recipe.with_values({"stimulus.noisy": 0.5, "stimulus.snr": "-5dB,30dB", "stimulus.reverberant": 0.1})
    assert "50 % of the sounds are heard in diffuse noise, at −5 to 30 dB; 10 % of the sounds are heard in a room." in (
        task(noisy)
    )


def test_scenes_put_into_classes_have_their_confusions(scene_recipe, tmp_path):
    recipe = scene_recipe.with_values({"readout.kind": "class", "training.epochs": 1, "training.sounds": 32})
    run = train(recipe, tmp_path / "run")
    run.write("metrics.json", json.dumps(evaluate(run, sounds=30)))
    assert Page(report(run).read_text(encoding="utf-8")).ids >= {"confusion", "histograms", "estimates"}
