"""What the package promises about speed, as ratios within one run, and whether the run kept it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["TARGETS", "Target", "step_seconds"]

Results = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A sentence, the bound on a number, and how the number follows from the results (KeyError: not measured)."""

    text: str
    bound: float
    value: Callable[[Results], float]
    at_least: bool = True
    unit: str = "×"

    def met(self, value: float) -> bool:
        """Whether a value keeps the promise."""
        return value >= self.bound if self.at_least else value <= self.bound


def step_seconds(results: Results, steps: int, name: str, hidden: tuple[int, ...] = (30,)) -> float:
    """Median seconds of a step; KeyError if it was not measured."""
    for row in results["steps"]:
        if (row["case"]["steps"], row["contender"], tuple(row["case"]["hidden"])) == (steps, name, hidden):
            return float(row["median"])
    raise KeyError(name)


def slower(steps: int, *names: str) -> Callable[[Results], float]:
    """How many times the time of the fused engine the fastest of these takes."""
    return lambda results: (
        min(step_seconds(results, steps, name) for name in names) / step_seconds(results, steps, "fused")
    )


def drawing_seconds(results: Results, steps: int, name: str) -> float:
    """Median seconds to draw 128 sounds."""
    rows = {(row["steps"], row["contender"]): row["median"] for row in results["drawing"]}
    return float(rows[steps, name])


def slowest_good(results: Results) -> float:
    """Seconds of the slowest of the runs of `tone` to 90 %; infinite if one never got there."""
    return max(run["seconds"] or float("inf") for run in results["whole"]["tone"])


PEERS = ("snntorch", "spikingjelly", "norse", "sinabs")

TARGETS = (
    Target("step, T = 100, against the seed's loop", 20, slower(100, "seed")),
    Target("step, T = 100, against JAX", 4, slower(100, "jax", "jax-sum")),
    Target("step, T = 100, against the fastest PyTorch peer", 15, slower(100, *PEERS)),
    Target("step, T = 1000, against the seed's loop", 300, slower(1000, "seed")),
    Target("step, T = 1000, against JAX", 20, slower(1000, "jax", "jax-sum")),
    Target(
        "step, T = 1000, against the faster of snnTorch and SpikingJelly", 60, slower(1000, "snntorch", "spikingjelly")
    ),
    Target(
        "drawing, T = 100: a set of 16,384 sounds, against the seed's program",
        200,
        lambda r: drawing_seconds(r, 100, "seed, set") / drawing_seconds(r, 100, "spikeloc, set"),
    ),
    Target(
        "the same, against a second process of the seed's right after it",
        200,
        lambda r: drawing_seconds(r, 100, "seed, set again") / drawing_seconds(r, 100, "spikeloc, set"),
    ),
    Target(
        "the same, 128 sounds again and again",
        200,
        lambda r: drawing_seconds(r, 100, "seed") / drawing_seconds(r, 100, "spikeloc"),
    ),
    Target(
        "drawing, T = 1000, against drawing, T = 100",
        2,
        lambda r: drawing_seconds(r, 1000, "spikeloc") / drawing_seconds(r, 100, "spikeloc"),
        at_least=False,
    ),
    Target(
        "whole process `seed-spiking`, against the seed's program: time",
        12,
        lambda r: r["whole"]["seed"]["median"] / r["whole"]["spikeloc"]["median"],
    ),
    Target(
        "whole process `seed-spiking`, against the seed's program: peak memory",
        20,
        lambda r: r["whole"]["seed"]["peak"] / r["whole"]["spikeloc"]["peak"],
    ),
    Target(
        "`tone` to 90 % accuracy, start-up included, slowest of its seeds", 15, slowest_good, at_least=False, unit="s"
    ),
)
