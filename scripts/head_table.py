"""Score a model under a grid of conditions: ``python scripts/head_table.py --model runs/head --snr none 10 0``.

Prints a table in Markdown with the errors of the network, of GCC-PHAT and of the cross-correlation of the ears (both
calibrated on KEMAR); with --csv writes all of it to a file too. Conditions are all combinations of what is listed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from spikeloc.errors import UserError
from spikeloc.runs import Run
from spikeloc.scene_table import KINDS, conditions, scene_table, to_csv, to_markdown


def decibels(text: str) -> float | None:
    """A level, or None for "none"."""
    return None if text == "none" else float(text)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="head", help="a run folder, or the name of a shipped model")
    parser.add_argument("--heads", nargs="+", default=["kemar"], help="names, or SOFA files")
    parser.add_argument(
        "--sounds", nargs="+", default=["white noise", "speech-1"], help=f"files, or of {', '.join(KINDS)}"
    )
    parser.add_argument("--snr", nargs="+", type=decibels, default=[None, 10.0, 0.0], help='in dB, or "none"')
    parser.add_argument("--levels", nargs="+", type=float, default=[65.0], help="in dB SPL")
    parser.add_argument("-n", type=int, default=1000, help="test sounds in each condition")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--csv", type=Path, default=None, help="a file for the whole table")
    given = parser.parse_args()
    try:
        asked = conditions(given.heads, given.sounds, given.snr, given.levels)
        rows, began = [], time.monotonic()
        for row in scene_table(Run.find(given.model), asked, sounds=given.n, seed=given.seed):
            rows.append(row)
            if row["observer"] == "network":
                done = len(rows) // 3 + 1
                print(f"{done} of {len(asked)}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    except UserError as error:
        print(f"head_table: {error}", file=sys.stderr)
        return 2
    print(to_markdown(rows))
    if given.csv is not None:
        given.csv.write_text(to_csv(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
