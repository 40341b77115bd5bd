"""Pictures drawn in another process are those drawn here, and are drawn here if that process fails."""

import subprocess
import sys

import numpy as np
import pytest

from spikeloc.drawing import Drawer, picture

PICTURES = {
    "histograms": picture("histograms", np.eye(3), 90.0),
    "loss": picture("loss_curve", [{"epoch": 1, "loss": 2.0, "learning_rate": 0.1, "seconds": 0.1}], expected=2.5),
}
LATER = {"confusion": picture("confusion_matrices", {"a": np.eye(3)}, limit=90.0)}


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr("spikeloc.drawing._processors", lambda: 2)


@pytest.fixture(scope="module")
def expected():
    return {name: each.png() for name, each in (PICTURES | LATER).items()}


def test_without_another_process_pictures_are_drawn_here(expected):
    drawer = Drawer()
    drawer.draw(PICTURES)
    drawer.draw(LATER)
    assert drawer.finished() == expected


def test_another_process_draws_the_same_pictures(expected, monkeypatch):
    with Drawer() as drawer:
        drawer.draw(PICTURES)
        drawer.draw(LATER | {"loss": picture("no_such_function")})  # taken before
        monkeypatch.setattr("spikeloc.drawing.Picture.png", None)  # not here
        assert drawer.finished() == expected


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_pictures_are_drawn_here_if_the_other_process_dies(when, expected):
    with Drawer() as drawer:
        process = drawer._process
        for moment, pictures in {"before": PICTURES, "between": LATER, "after": {}}.items():
            if when == moment:
                process.kill()
                process.wait()
            drawer.draw(pictures)
        assert drawer.finished() == expected


def test_pictures_are_drawn_here_if_no_process_can_be_had(expected, monkeypatch):
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with Drawer() as drawer:
        assert drawer._process is None
        drawer.draw(PICTURES | LATER)
        assert drawer.finished() == expected


def test_a_drawer_that_is_not_asked_leaves_no_process_behind():
    with Drawer() as drawer:
        drawer.draw(PICTURES)
        process = drawer._process
        assert process.poll() is None
    assert process.poll() is not None


def test_one_processor_has_enough_to_do(monkeypatch, expected):
    monkeypatch.setattr("spikeloc.drawing._processors", lambda: 1)
    with Drawer() as drawer:
        assert drawer._process is None
        drawer.draw(PICTURES | LATER)
        assert drawer.finished() == expected


def test_drawing_needs_no_torch_and_telling_what_to_draw_no_matplotlib():
    heavy = "{'torch', 'numba', 'matplotlib'} & set(sys.modules)"
    for module, expected in (("drawing", set()), ("figures", {"matplotlib"})):
        command = f"import sys, spikeloc.{module}; print(sorted({heavy}))"
        found = subprocess.run([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True, check=True)
        assert found.stdout.strip() == str(sorted(expected))
