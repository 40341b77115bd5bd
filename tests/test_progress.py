"""A bar is for people: on a terminal, and for what takes a while."""

import io

import pytest
from rich.console import Console

from spikeloc.progress import ListeningDisplay


def shown(seconds, *, terminal):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=80, _environ={})
    with ListeningDisplay(console) as display:
        for done in (seconds / 2, seconds):
            display.heard(done, seconds)
            display.bar.refresh()
    return text.getvalue()


def test_a_long_recording_has_a_bar_on_a_terminal():
    assert "listening" in shown(600, terminal=True)
    assert "600 of 600 s" in shown(600, terminal=True)


@pytest.mark.parametrize(("seconds", "terminal"), [(3, True), (600, False)])
def test_nothing_else_has(seconds, terminal):
    assert "listening" not in shown(seconds, terminal=terminal)


def test_a_mistake_stops_the_bar():
    display = ListeningDisplay(Console(file=io.StringIO(), force_terminal=True, width=80))

    def mistaken():
        with display:
            display.heard(1, 100)
            assert display.bar.live.is_started
            raise ValueError("told")

    with pytest.raises(ValueError, match="told"):
        mistaken()
    assert not display.bar.live.is_started
