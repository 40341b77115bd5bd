"""Medians of repetitions that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["in_turns", "seconds_of", "summarise"]


def summarise(seconds: list[float]) -> dict[str, Any]:
    """Median, extremes and number of repetitions."""
    return {
        "median": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "repetitions": len(seconds),
    }


def seconds_of(function: Callable[[], object]) -> list[float]:
    """Seconds of one call."""
    began = time.perf_counter()
    function()
    return [time.perf_counter() - began]


def in_turns(timers: Mapping[str, Callable[[], list[float]]], rounds: int) -> dict[str, dict[str, Any]]:
    """Call every timer once a round, so that all meet the same moods of the machine; a summary of each.

    A timer that takes several steps at once is not charged for the first: it finds its data out of the caches.
    """
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds = timer()
            found[name] += seconds[1:] if len(seconds) > 2 else seconds
    return {name: summarise(seconds) for name, seconds in found.items()}
