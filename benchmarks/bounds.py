"""Two bounds on a training step, from two rates that are measured here, and the distance to them.

    arithmetic   2 S H + 12 B T H   operations, at the rate of float32 additions with operands in the first cache
    traffic      4 S + 8 B T + 8 B T H   bytes, at the rate of copying arrays of that size

S spikes of the fibres, B sounds, T time steps, H hidden neurons. A spike adds a row of weights to the currents
forwards, and a row of gradients to the weights' gradients backwards: 2 H additions. A membrane's step takes about 4
operations forwards (decay, addition, comparison, reset) and 8 backwards. Each index (2 bytes) is read twice, each
row's start (8 bytes) once; each membrane (4 bytes) is written once and read once. The readout costs next to nothing.
Both bounds are for this method; a method that keeps less or skips silent membranes could go below them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, Inputs
from numba import njit

__all__ = ["measure_bounds"]

IN_CACHE = 1024  # floats of each of two arrays that a core keeps in its first cache


@njit(nogil=True)
def add_rows(y: np.ndarray, x: np.ndarray, times: int) -> None:
    """y += x, many times over."""
    for _ in range(times):
        for i in range(y.size):
            y[i] += x[i]


@njit(nogil=True)
def copy(y: np.ndarray, x: np.ndarray, times: int) -> None:
    """y = x, many times over."""
    for _ in range(times):
        for i in range(y.size):
            y[i] = x[i]


def measure_bounds(threads: int, folder: Path, quick: bool) -> dict[str, Any]:
    """The machine's two rates, and the bounds for the benchmark's cases."""
    print("bounds", flush=True)
    rate = additions_per_second(threads)
    rows = []
    for steps in (100, 1000) if quick else (100, 1000, 4000):
        for width in (30, 128, 512):
            rows.append(bound(Case(steps, (width,)), folder, rate, threads))
    return {"additions_per_second": rate, "rows": rows}


def bound(case: Case, folder: Path, rate: float, threads: int) -> dict[str, Any]:
    """Seconds that arithmetic and traffic of a step take at least."""
    spikes = int(np.count_nonzero(Inputs.load(folder, case).spikes))
    rows, (neurons,) = case.sounds * case.steps, case.hidden
    operations = 2 * spikes * neurons + 12 * rows * neurons
    moved = 4 * spikes + 8 * rows + 8 * rows * neurons
    bandwidth = bytes_per_second(threads, moved)
    return {
        "case": case.to_json(),
        "spikes": spikes,
        "operations": operations,
        "bytes": moved,
        "bytes_per_second": bandwidth,
        "arithmetic": operations / rate,
        "traffic": moved / bandwidth,
    }


def additions_per_second(threads: int) -> float:
    """Float32 additions on all threads, operands in the first cache; the best of several tries."""
    arrays = [(np.zeros(IN_CACHE, np.float32), np.ones(IN_CACHE, np.float32)) for _ in range(threads)]
    times = 200_000
    return threads * times * IN_CACHE / best(add_rows, arrays, times)


def bytes_per_second(threads: int, size: int) -> float:
    """Bytes read and written by copying on all threads, with ``size`` bytes in play; the best of several tries."""
    n = max(1024, min(size, 2**29) // (8 * threads))
    arrays = [(np.zeros(n, np.float32), np.ones(n, np.float32)) for _ in range(threads)]
    times = max(1, math.ceil(2**28 / (8 * threads * n)))
    return threads * times * 8 * n / best(copy, arrays, times)


def best(kernel: Callable[..., None], arrays: list[tuple[np.ndarray, np.ndarray]], times: int) -> float:
    """Seconds of the fastest of five tries with one pair of arrays for each thread."""
    with ThreadPoolExecutor(len(arrays)) as pool:

        def seconds() -> float:
            began = time.perf_counter()
            list(pool.map(lambda pair: kernel(*pair, times), arrays))
            return time.perf_counter() - began

        seconds()
        return min(seconds() for _ in range(5))
