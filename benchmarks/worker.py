"""A process that takes training steps of contenders on request, in whatever environment its Python belongs to.

Reads one JSON request a line on standard input and answers each with one JSON line on standard output:

    {"do": "hello"}                                   versions and threads
    {"do": "build", "name": N, "case": C}             build a contender and take its first step
    {"do": "time", "name": N, "seconds": S}           take steps for S seconds, at least one
    {"do": "forget"}                                  free all contenders
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from cases import CONTENDERS, Case, Inputs

Step = Callable[[], float]


class Worker:
    """Holds built contenders; ``folder`` keeps the inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: dict[str, Step] = {}
        self.inputs: tuple[str, Inputs] | None = None

    def hello(self, packages: list[str]) -> dict[str, Any]:
        """Versions of packages that are installed here."""
        found = {package: _version(package) for package in packages}
        return {"python": sys.version.split()[0], "versions": {name: v for name, v in found.items() if v}}

    def build(self, name: str, case: dict[str, Any]) -> dict[str, Any]:
        """Build a contender and take its first step: its loss, and the seconds that both took."""
        read, contender = Case.of_json(case), CONTENDERS[name]
        inputs = self._read(read)
        began = time.perf_counter()
        self.steps[name] = importlib.import_module(f"contenders.{contender.module}").build(
            read, inputs, contender.option
        )
        built = time.perf_counter()
        loss = self.steps[name]()
        return {"loss": loss, "build": built - began, "first_step": time.perf_counter() - built}

    def time(self, name: str, seconds: float) -> dict[str, Any]:
        """Seconds of each step."""
        step, end, found = self.steps[name], time.perf_counter() + seconds, []
        while not found or time.perf_counter() < end:
            began = time.perf_counter()
            step()
            found.append(time.perf_counter() - began)
        return {"seconds": found}

    def forget(self) -> dict[str, Any]:
        """Free the memory of all contenders."""
        self.steps.clear()
        gc.collect()
        return {}

    def _read(self, case: Case) -> Inputs:
        if self.inputs is None or self.inputs[0] != case.spikes_key:
            self.inputs = (case.spikes_key, Inputs.load(self.folder, case))
        return self.inputs[1]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _set_threads(threads: int) -> None:
    if os.environ.get("SPIKELOC_WORKER") == "jax":
        return  # XLA takes one thread for each processor that the process may use
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    _set_threads(threads)
    worker = Worker(folder)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception:  # noqa: BLE001  (the parent reports it)
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
