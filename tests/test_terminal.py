"""Lines of text show the numbers they stand for."""

import math

import pytest

from spikeloc.localisation import Localisation, Window
from spikeloc.terminal import COLUMNS, MOST_LINES, direction, localisation_lines, sentence

DEG = math.radians(1)


def window(azimuth=None, uncertainty=None, time=0.1, **about):
    return Window(
        time, None if azimuth is None else azimuth * DEG, None if uncertainty is None else uncertainty * DEG, 0, **about
    )


def marks(line):
    """The part of a line between its bars."""
    return line.split("|")[1]


@pytest.mark.parametrize(
    ("azimuth", "words"),
    [(40.4, "40 deg to the right"), (-89.6, "90 deg to the left"), (0.4, "straight ahead"), (-0.4, "straight ahead")],
)
def test_directions_in_words(azimuth, words):
    assert direction(azimuth * DEG) == words


def test_the_answer_is_one_sentence():
    found = Localisation((window(38, 3), window(42, 3)))
    assert sentence("a.wav", found) == "a.wav: 40 deg to the right, +- 3 deg"
    assert sentence("a.wav", found, -0.5) == "a.wav: 40 deg to the right, +- 3 deg (true azimuth: 29 deg to the left)"
    assert sentence("a.wav", Localisation((window(0),))) == "a.wav: straight ahead"


@pytest.mark.parametrize(("azimuth", "column"), [(-90, 0), (0, 20), (90, 40), (45, 30), (-47, 10)])
def test_a_mark_stands_at_its_azimuth(azimuth, column):
    row = marks(localisation_lines(Localisation((window(azimuth, 9),)))[1])
    assert len(row) == COLUMNS == 41
    assert row.index("O") == column
    assert {place for place, mark in enumerate(row) if mark in "=O"} == {
        place for place in range(column - 2, column + 3) if 0 <= place < COLUMNS
    }


def test_silent_and_overdriven_windows_have_no_mark():
    windows = (window(20, 5), window(time=0.3, silent=True), window(time=0.5, clipped=True))
    heading, heard, silent, clipped = localisation_lines(Localisation(windows))
    assert "ahead" in heading
    assert heard.endswith("+20 +- 5")
    assert silent.endswith("silent")
    assert clipped.endswith("overdriven")
    assert "O" not in silent + clipped


@pytest.mark.parametrize("n", [1, 20, 21, 100, 9000])
def test_long_recordings_are_condensed(n):
    windows = tuple(window(-30 if k < n / 2 else 30, 5, time=0.1 + 0.2 * k) for k in range(n))
    lines = localisation_lines(Localisation(windows, ("remark",)))
    assert len(lines) <= MOST_LINES + 2
    assert lines[-1] == "remark"
    assert all(len(line) < 80 for line in lines)
    assert "-30 +-" in lines[1]
    assert "+30 +-" in lines[-2] or n == 1
    assert len({line.index("|") for line in lines[1:-1]}) == 1


def test_a_stretch_is_silent_only_if_all_of_it_is():
    windows = tuple(window(50, 4) if k % 2 else window(silent=True) for k in range(40))
    assert all("+50" in line for line in localisation_lines(Localisation(windows))[1:])
