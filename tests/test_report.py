import base64
import json
import re
import shlex
import tomllib
from html import unescape
from html.parser import HTMLParser

import pytest

from spikeloc.errors import UserError
from spikeloc.evaluation import observe, score
from spikeloc.recipe import load_recipe
from spikeloc.report import _caveats, _command, _comparison, _scores, _text, report
from spikeloc.runs import Run
from spikeloc.training import train

CAPTIONS = tomllib.loads(_text("report_captions.toml"))
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
    run.write("metrics.json", json.dumps({**run.metrics, "error_by_angle": TABLE}))
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
    """A table's rows: the text of the first cell, and that of the others."""
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
    found = rows(_scores({**run.metrics, "accuracy": 0.6, "ideal": ideal, "observers": {"circular_mean<": ideal}}))
    assert "75.0 %" in found["This network"]  # 0.6 of 0.8
    assert "80.0 %" in found["Ideal observer"]
    assert "75.0 to 84.0" in found["Circular mean<"]


def test_the_paired_comparison_is_told_if_there_is_one(run):
    assert _comparison(run.metrics) == ""
    versus = {
        "accuracy_difference": -0.05,
        "p_value": 0.0123,
        "error_difference_deg": 0.4,
        "error_difference_deg_ci95": [0.3, 0.5],
    }
    assert "−5.0 points of accuracy" in _comparison({"versus_ideal": versus})
    assert "p = 0.012" in _comparison({"versus_ideal": versus})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_has_its_report(kind, tiny_recipe, tmp_path):
    run = finished(tiny_recipe.with_values(KINDS[kind]), tmp_path / "run")
    page = Page(report(run).read_text(encoding="utf-8"))
    assert page.ids & set(CAPTIONS) == set(CAPTIONS) - {"error_by_angle"} - (SPIKING if kind == "membrane" else set())
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
