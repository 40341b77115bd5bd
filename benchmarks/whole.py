"""Whole processes, from pressing return to the last line: time, peak memory, and time to a good score."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from summary import summarise
from team import thread_limits

__all__ = ["measure_whole"]

HERE = Path(__file__).parent
GOOD = 0.9  # validation accuracy that `tone` should pass


def measure_whole(threads: int, quick: bool) -> dict[str, Any]:
    """Training `seed-spiking` against the seed's program; memory for more sounds; the first run; `tone` to 90 %."""
    os.environ.update(thread_limits(threads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spikeloc("warm", folder, ["--epochs", "1", "--training.sounds", "128"])  # caches the kernels
        found: dict[str, Any] = against_seed(folder, quick)
        found["memory"] = [memory_of(folder, sounds) for sounds in ([2048] if quick else [4096, 65_536])]
        found["start"] = start_up(folder)
        found["tone"] = [seconds_to_good(folder / f"tone-{seed}", seed) for seed in range(1 if quick else 3)]
    return found


def against_seed(folder: Path, quick: bool) -> dict[str, Any]:
    """Both programs over the same number of epochs and sounds, in turns."""
    epochs, sounds = (1, 2048) if quick else (10, 16_384)
    seeds = [sys.executable, str(HERE / "seed_program.py"), "--epochs", str(epochs), "--sounds", str(sounds)]
    mine = ["--epochs", str(epochs), "--training.sounds", str(sounds)]
    print(f"whole process: seed-spiking, {epochs} epochs of {sounds} sounds", flush=True)
    runs = [spikeloc("a", folder, mine), launch(seeds, folder), spikeloc("b", folder, mine)]
    spikelocs = [run for run in runs if run is not runs[1]]
    return {
        "epochs": epochs,
        "sounds": sounds,
        "spikeloc": {**summarise([run["seconds"] for run in spikelocs]), "peak": max(run["peak"] for run in spikelocs)},
        "training": training_seconds(folder / "a" / "history.csv"),
        "seed": {**summarise([runs[1]["seconds"]]), "peak": runs[1]["peak"]},
        "accuracy": {
            "spikeloc": json.loads((folder / "a" / "metrics.json").read_text(encoding="utf-8"))["accuracy"],
            "seed": last_number(runs[1], "test accuracy"),
        },
    }


def spikeloc(name: str, folder: Path, options: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """`spikeloc train seed-spiking` in a process of its own."""
    command = [sys.executable, "-m", "spikeloc.cli", "train", "seed-spiking", "--out", str(folder / name), *options]
    return launch(command, folder, environment)


def launch(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Seconds and peak memory of a command, and what it printed."""
    log = folder / "log"
    answer = subprocess.run(
        [sys.executable, str(HERE / "launch.py"), str(log), *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    found: dict[str, Any] = {**json.loads(answer.stdout), "printed": log.read_text(encoding="utf-8")}
    if found["status"] != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{found['printed']}")
    return found


def last_number(run: dict[str, Any], name: str) -> float:
    """The number after a name that a command printed: per cent to a fraction."""
    line = [line for line in run["printed"].splitlines() if line.startswith(name)][-1]
    return float(line.removeprefix(name).split()[0]) / 100


def memory_of(folder: Path, sounds: int) -> dict[str, Any]:
    """Peak memory of an epoch with this many sounds."""
    print(f"whole process: memory with {sounds} sounds", flush=True)
    run = spikeloc(f"memory-{sounds}", folder, ["--epochs", "1", "--training.sounds", str(sounds)])
    return {"sounds": sounds, "peak": run["peak"], "seconds": run["seconds"]}


def start_up(folder: Path) -> dict[str, Any]:
    """A very short run with no kernels cached, and with all cached: the difference is what compiling costs."""
    print("whole process: first run on a new machine", flush=True)
    options = ["--epochs", "1", "--training.sounds", "128", "--evaluation.sounds", "128"]
    cold = spikeloc("cold", folder, options, {"NUMBA_CACHE_DIR": str(folder / "cache")})
    warm = spikeloc("cached", folder, options, {"NUMBA_CACHE_DIR": str(folder / "cache")})
    return {"first_run": cold["seconds"], "later_run": warm["seconds"]}


def seconds_to_good(out: Path, seed: int) -> dict[str, Any]:
    """From pressing return until the history of `tone` shows an epoch that passes 90 % in validation."""
    print(f"whole process: tone to {GOOD:.0%}, seed {seed}", flush=True)
    command = [sys.executable, "-m", "spikeloc.cli", "train", "tone", "--out", str(out), "--seed", str(seed)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    passed = None
    while passed is None and process.poll() is None:
        time.sleep(0.02)
        best = best_accuracy(out / "history.csv")
        if best >= GOOD:
            passed = time.perf_counter() - began
    process.terminate()
    process.wait()
    return {"seed": seed, "seconds": passed, "validation_accuracy": best_accuracy(out / "history.csv")}


def training_seconds(history: Path) -> float:
    """Seconds that the epochs took, of a whole process."""
    with history.open(encoding="utf-8", newline="") as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file))


def best_accuracy(history: Path) -> float:
    """Best validation accuracy so far."""
    if not history.exists():
        return 0.0
    with history.open(encoding="utf-8", newline="") as file:
        return max((float(row["validation_accuracy"]) for row in csv.DictReader(file)), default=0.0)
