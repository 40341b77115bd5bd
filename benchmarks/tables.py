"""The results as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cases import CONTENDERS
from scaling import growth, straight_line
from targets import TARGETS, Results

__all__ = ["conditions", "report", "sections"]


def sections(results: Results) -> dict[str, str]:
    """The tables for which there are results, by their titles."""
    found = {"Ratios and targets": targets(results)}
    if "steps" in results:
        found["Training step: 128 sounds × T × 200 fibres → 30 LIF → 12 readouts"] = steps(results["steps"])
        found["Training step at other sizes"] = sizes(results["steps"])
    if "drawing" in results:
        found["Drawing 128 sounds"] = drawing(results["drawing"])
    if "whole" in results:
        found["Whole processes"] = whole(results["whole"])
    if "bounds" in results:
        found["The two bounds"] = bounds(results["bounds"], results.get("steps", []))
    if "scaling" in results:
        found["Growth"] = growth_lines(results["scaling"])
        found["All points of the growth"] = points(results["scaling"])
    return found


def report(results: Results) -> str:
    """All tables, one after another."""
    parts = [f"## {title}\n\n{text}" for title, text in sections(results).items()]
    return "\n\n".join(["# Results", conditions(results), *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, its first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def duration(seconds: float) -> str:
    """Three digits with a unit that suits."""
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def gigabytes(size: float) -> str:
    """Bytes in GB."""
    return f"{size / 1e9:.2f} GB"


def conditions(results: Results) -> str:
    """Where, when and with what."""
    machine, versions = results["machine"], results["versions"]
    facts = (
        f"{machine['date']}; {machine['processor']}; {machine['threads']} of {machine['cores']} cores used; "
        f"{machine['memory_gb']} GB; {machine['system']}; Python {machine['python']}"
    )
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Made by `make bench`. {facts}. {listed}."


def targets(results: Results) -> str:
    """Ratios beside what they should be."""
    rows = []
    for target in TARGETS:
        try:
            value = target.value(results)
        except (KeyError, ValueError):
            continue
        sign = "≥" if target.at_least else "≤"
        verdict = "yes" if target.met(value) else "**no**"
        rows.append([target.text, f"{sign} {target.bound:g} {target.unit}", f"{value:.3g} {target.unit}", verdict])
    return table(["ratio in this run", "target", "measured", "met"], rows)


def cell(row: dict[str, Any] | None, fused: float | None) -> str:
    """Median and ratio to the fused engine, or why not."""
    if row is None:
        return ""
    if "median" not in row:
        return row["skipped"]
    ratio = "" if fused is None or row["contender"] == "fused" else f" ({row['median'] / fused:.3g} ×)"
    mark = "¹" if row["repetitions"] == 1 else ""
    return duration(row["median"]) + mark + ratio


def steps(rows: list[dict[str, Any]]) -> str:
    """All contenders at one hidden layer of 30."""
    found = {(r["contender"], r["case"]["steps"]): r for r in rows if tuple(r["case"]["hidden"]) == (30,)}
    columns = sorted({steps for _, steps in found})
    fused = {steps: found["fused", steps]["median"] for steps in columns}
    body = [
        [one.label, *(cell(found.get((name, steps)), fused[steps]) for steps in columns)]
        for name, one in CONTENDERS.items()
        if any((name, steps) in found for steps in columns)
    ]
    note = "Median (times the fused engine's). ¹ one repetition."
    return f"{table(['', *(f'T = {n}' for n in columns)], body)}\n\n{note}"


def sizes(rows: list[dict[str, Any]]) -> str:
    """The engines and JAX at other sizes."""
    names = ["fused", "reference", "jax-sum"]
    found = {(r["case"]["steps"], tuple(r["case"]["hidden"]), r["contender"]): r for r in rows}
    body = []
    for steps, hidden in dict.fromkeys((steps, hidden) for steps, hidden, _ in found):
        fused = found[steps, hidden, "fused"]["median"]
        cells = [cell(found.get((steps, hidden, name)), fused) for name in names]
        body.append([f"T = {steps}, {' – '.join(map(str, hidden))}", *cells])
    head = ["hidden layers", *(CONTENDERS[name].label for name in names)]
    return table(head, body)


def drawing(rows: list[dict[str, Any]]) -> str:
    """Drawing 128 sounds."""
    found = {(r["contender"], r["steps"]): r for r in rows}
    columns = sorted({steps for _, steps in found})
    labels = {
        "spikeloc": "spikeloc, all threads",
        "spikeloc, one thread": "spikeloc, one thread",
        "seed": "the seed's code, 128 sounds again and again",
        "spikeloc, set": "spikeloc, a set of 16,384 sounds by batches of 128",
        "seed, set": "the seed's code, that set at once, as its program does",
        "seed, set again": "the same in a second process right after it",
    }
    body = []
    for name, label in labels.items():
        mine = "spikeloc, set" if "set" in name else "spikeloc"
        cells = [cell(found.get((name, n)), found[mine, n]["median"] if (mine, n) in found else None) for n in columns]
        if any(cells):
            body.append([label, *cells])
    note = "Median for 128 sounds (times spikeloc's). ¹ one repetition."
    return f"{table(['', *(f'T = {n}' for n in columns)], body)}\n\n{note}"


def whole(results: dict[str, Any]) -> str:
    """Whole processes."""
    mine, seed = results["spikeloc"], results["seed"]
    head = [
        f"`seed-spiking`, {results['epochs']} epochs of {results['sounds']} sounds",
        "wall time",
        "peak memory",
        "test accuracy",
    ]
    body = [
        [label, duration(row["median"]), gigabytes(row["peak"]), f"{results['accuracy'][key]:.1%}"]
        for label, key, row in (("spikeloc, report included", "spikeloc", mine), ("the seed's program", "seed", seed))
    ]
    body.append(["ratio", f"{seed['median'] / mine['median']:.3g} ×", f"{seed['peak'] / mine['peak']:.3g} ×", ""])
    memory = "; ".join(f"{row['sounds']} sounds: {gigabytes(row['peak'])}" for row in results["memory"])
    tone = "; ".join(
        f"seed {run['seed']}: {duration(run['seconds']) if run['seconds'] else 'never'}" for run in results["tone"]
    )
    start = results["start"]
    lines = [
        f"Of spikeloc's time, {duration(results['training'])} is training; the rest is start, score and report.",
        f"Peak memory of one epoch: {memory}.",
        f"A very short run: {duration(start['first_run'])} where every kernel must be compiled, "
        f"{duration(start['later_run'])} where all are cached.",
        f"`tone` to 90 % validation accuracy, start-up included: {tone}.",
    ]
    return f"{table(head, body)}\n\n" + "\n".join(f"- {line}" for line in lines)


def bounds(results: dict[str, Any], measured: list[dict[str, Any]]) -> str:
    """The two bounds and the distance to them."""
    fused = {
        (r["case"]["steps"], tuple(r["case"]["hidden"])): r["median"]
        for r in measured
        if r["contender"] == "fused" and "median" in r
    }
    body = []
    for row in results["rows"]:
        steps, hidden = row["case"]["steps"], tuple(row["case"]["hidden"])
        step = fused.get((steps, hidden))
        larger = max(row["arithmetic"], row["traffic"])
        cells = [f"T = {steps}, {hidden[0]} hidden", duration(row["arithmetic"]), duration(row["traffic"])]
        body.append([*cells, *((duration(step), f"{step / larger:.3g} ×") if step else ("", ""))])
    speeds = [row["bytes_per_second"] / 1e9 for row in results["rows"]]
    note = (
        f"Measured here: {results['additions_per_second'] / 1e9:.3g} thousand million additions a second; copying "
        f"{min(speeds):.3g} to {max(speeds):.3g} GB/s, by the size of what is copied."
    )
    head = ["one hidden layer", "arithmetic", "traffic", "fused engine", "over the larger bound"]
    return f"{table(head, body)}\n\n{note}"


def growth_lines(rows: list[dict[str, Any]]) -> str:
    """How cost grows: exponents, and the straight line through all points."""
    body = []
    for axis, label, against in (
        ("sounds", "sounds", "value"),
        ("rate_max", "spikes, by their rate", "spikes"),
        ("steps", "time steps, spikes held equal", "value"),
    ):
        cells = []
        for name in ("fused", "drawing"):
            fixed, slope = straight_line(rows, axis, name, against)
            cells += [f"{growth(rows, axis, name, against):.2f}", f"{duration(max(fixed, 0))} + {duration(slope)} each"]
        body.append([label, *cells])
    head = ["against", "step: exponent", "step: line", "drawing: exponent", "drawing: line"]
    note = "Exponent of growth between the two largest values: 1 is linear, 0 constant."
    return f"{table(head, body)}\n\n{note}"


def points(rows: list[dict[str, Any]]) -> str:
    """Every point of the growth."""
    head = ["varied", "value", "spikes", "", "median"]
    return table(
        head,
        [
            [row["axis"], f"{row['value']:g}", f"{row['spikes']}", row["contender"], duration(row["median"])]
            for row in rows
        ],
    )
