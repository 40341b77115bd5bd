"""Measure speed and memory: parity first, then everything side by side in one run.

    python benchmarks/run.py                        all parts, with the peers
    python benchmarks/run.py steps drawing --quick  some parts, a few repetitions, nothing written

parts: steps (training step), drawing, bounds, scaling, whole (processes and memory)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from team import Team, limit_processors, thread_limits

HERE = Path(__file__).parent
PARTS = ("steps", "drawing", "bounds", "scaling", "whole")


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="few sizes and repetitions; write only with --out")
    parser.add_argument("--threads", type=int, default=2, help="threads for everyone (default 2)")
    parser.add_argument("--out", type=Path, help="folder of the results (default: benchmarks/results)")
    parser.add_argument(
        "--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python", help="Python of the peers' environment"
    )
    parser.add_argument("--without-peers", action="store_true", help="measure without the other libraries")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"{part} is not a part; choose from {', '.join(PARTS)}")
    if not options.without_peers and not options.peers.exists():
        parser.error(f"{options.peers} is not there; `make bench` sets it up, or add --without-peers")
    return options


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Check parity, then measure the parts."""
    # Imported after the number of processors is limited: libraries count them when they load.
    import bounds  # noqa: PLC0415
    import drawing  # noqa: PLC0415
    import machine  # noqa: PLC0415
    import parity  # noqa: PLC0415
    import scaling  # noqa: PLC0415
    import steps  # noqa: PLC0415
    import torch  # noqa: PLC0415
    import whole  # noqa: PLC0415

    threads, quick = options.threads, options.quick
    torch.set_num_threads(threads)
    results: dict[str, Any] = {"machine": machine.describe_machine(threads)}
    with Team(folder, threads, None if options.without_peers else options.peers) as team:
        results["versions"] = team.versions()
        print("parity", flush=True)
        results["parity"] = parity.check_parity()
        measures = {
            "steps": lambda: steps.measure_steps(team, quick),
            "drawing": lambda: drawing.measure_drawing(threads, quick),
            "bounds": lambda: bounds.measure_bounds(threads, folder, quick),
            "scaling": lambda: scaling.measure_scaling(team, threads, quick),
            "whole": lambda: whole.measure_whole(threads, quick),
        }
        for part in options.parts or PARTS:
            began = time.monotonic()
            results[part] = measures[part]()
            print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    return results


def write(results: dict[str, Any], out: Path) -> None:
    """One JSON file for each part, the tables, and the picture."""
    import picture  # noqa: PLC0415
    import tables  # noqa: PLC0415

    out.mkdir(parents=True, exist_ok=True)
    about = {key: results[key] for key in ("machine", "versions")}
    for part in ("parity", *PARTS):
        if part in results:
            text = json.dumps({**about, part: results[part]}, indent=1)
            (out / f"{part}.json").write_text(text + "\n", encoding="utf-8")
    (out / "results.md").write_text(tables.report(results), encoding="utf-8")
    if "steps" in results and "scaling" in results:
        picture.draw_cost(results["steps"], results["scaling"], out / "cost.png")
    print(f"written to {out}")


def quote(results: dict[str, Any], page: Path) -> None:
    """Put the tables where the page has places for them: between ``<!-- quote: TITLE -->`` and ``<!-- end -->``."""
    import tables  # noqa: PLC0415

    found = {"conditions": tables.conditions(results), **tables.sections(results)}

    def fill(place: re.Match[str]) -> str:
        title = place[1]
        return f"<!-- quote: {title} -->\n{found[title]}\n<!-- end -->" if title in found else place[0]

    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<!-- quote: (.+?) -->.*?<!-- end -->", fill, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure, print the tables, write the results."""
    options = arguments()
    limit_processors(options.threads)
    os.environ.update(thread_limits(options.threads))
    with tempfile.TemporaryDirectory(prefix="spikeloc-bench-") as folder:
        results = measure(options, Path(folder))
    import tables  # noqa: PLC0415

    print("\n" + tables.report(results))
    out = options.out or (None if options.quick else HERE / "results")
    if out is not None:
        write(results, out)
    if out is not None and options.out is None and not options.parts:
        quote(results, HERE.parent / "docs" / "performance.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
