"""Time of a training step, side by side: time steps, hidden neurons and layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from cases import Case
from parity import check_losses
from summary import in_turns
from team import Team

__all__ = ["measure_steps"]

ONE_LOOK = 3.0  # seconds: a contender whose first step takes longer is not asked for another
LONGEST = 12.0  # seconds: a contender that would take longer for a step is not asked
SLICE = 0.15  # seconds each contender steps in a round
MEMORY = 6e9  # bytes that a contender may keep for its backward pass


@dataclass(frozen=True)
class Plan:
    """A case, its contenders, and how often they take turns."""

    case: Case
    names: list[str]
    rounds: int


def plans(names: list[str], quick: bool) -> Iterator[Plan]:
    """All contenders at one hidden layer of 30; only engines and JAX at other sizes."""
    few = [name for name in ("fused", "reference", "jax-sum") if name in names]
    # Their loops cost the square of the time steps on the way back: minutes for one step.
    patient = [name for name in names if name not in ("seed", "snntorch", "sinabs")]
    for steps, rounds in {100: 8, 1000: 4, 4000: 3}.items():
        if quick and steps > 1000:
            continue
        yield Plan(Case(steps), names if steps < 4000 else patient, 2 if quick else rounds)
    for steps in (100,) if quick else (100, 1000, 4000):
        for layers in (1, 2, 3):
            for width in (30, 128, 512):
                if (layers, width) == (1, 30) or (quick and (layers, width) != (2, 128)):
                    continue
                # Wide deep layers only where a step takes well under a second.
                if layers == 1 or width == 30 or steps * width <= 128_000:
                    yield Plan(Case(steps, (width,) * layers), few, 2 if steps * width <= 500_000 else 1)


def measure_steps(team: Team, quick: bool) -> list[dict[str, Any]]:
    """A row for each case and contender: the seconds of a step, or why there are none."""
    rows: list[dict[str, Any]] = []
    for plan in plans(team.names, quick):
        print(f"step: T = {plan.case.steps}, hidden {'-'.join(map(str, plan.case.hidden))}", flush=True)
        rows += measure(team, plan, rows)
        team.forget()
    return rows


def measure(team: Team, plan: Plan, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Build all contenders of a case, check that they agree, and let them take turns."""
    case, rows, first = plan.case, {}, {}
    for name in plan.names:
        rows[name] = {"case": case.to_json(), "contender": name}
        if reason := too_big(name, case) or too_slow(name, case, before):
            rows[name]["skipped"] = reason
        else:
            first[name] = team.build(name, case)
            rows[name] |= {"loss": first[name]["loss"], "first_step": first[name]["first_step"]}
    check_losses({name: answer["loss"] for name, answer in first.items()})
    slow = {name for name, answer in first.items() if answer["first_step"] > ONE_LOOK and "jax" not in name}
    for name in slow:
        seconds = first[name]["first_step"]
        rows[name] |= {"median": seconds, "min": seconds, "max": seconds, "repetitions": 1}
    timers = {name: partial(team.time, name, SLICE) for name in first if name not in slow}
    for name, summary in in_turns(timers, plan.rounds).items():
        rows[name] |= summary
    return list(rows.values())


def too_slow(name: str, case: Case, before: list[dict[str, Any]]) -> str | None:
    """Why a contender is not asked for a long step, guessed from a shorter one with the same layers."""
    if name.startswith(("fused", "autograd", "dense", "jax")):
        return None
    for row in before:
        if row["contender"] == name and tuple(row["case"]["hidden"]) == case.hidden and row["case"]["steps"] >= 1000:
            seconds = row.get("median", float("inf")) * (case.steps / row["case"]["steps"]) ** 2
            if case.steps > row["case"]["steps"] and seconds > LONGEST:
                return f"would take about {seconds:.0f} s a step, as the square of the number of time steps"
    return None


def too_big(name: str, case: Case) -> str | None:
    """Why a contender does not take a case on: too much memory or time, guessed from smaller cases."""
    if name in ("fused", "autograd", "dense"):
        return None
    neurons = sum(case.hidden)
    memory = 5 * 4 * case.sounds * case.steps * neurons
    if memory > MEMORY:
        return f"would keep about {memory / 1e9:.0f} GB for its backward pass"
    # Indexing a step of a long tensor costs the whole tensor again in the backward pass.
    seconds = 1.6 * (case.steps / 1000) ** 2 * neurons / 30
    if name == "reference" and seconds > LONGEST:
        return f"would take about {seconds:.0f} s a step, as the square of the number of time steps"
    return None
