"""The processes that take training steps: one in the environment of spikeloc, two in that of the peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from cases import CONTENDERS, Case

__all__ = ["Team", "limit_processors", "thread_limits"]

HERE = Path(__file__).parent


def limit_processors(threads: int) -> None:
    """Keep this process and its children to a few processors, where the system can: no library then uses more."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def thread_limits(threads: int) -> dict[str, str]:
    """Environment variables that tell numerical libraries how many threads to use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: str(threads) for name in names}


class Team:
    """Builds and times contenders, each in its worker's process; workers start when first needed.

    folder    where inputs are stored for all workers
    threads   threads that each contender may use
    peers     Python of the peers' environment, or None to leave the peers out
    """

    def __init__(self, folder: Path, threads: int, peers: Path | None) -> None:
        self.folder, self.threads, self.peers = folder, threads, peers
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    @property
    def names(self) -> list[str]:
        """Contenders that can be built."""
        return [name for name, one in CONTENDERS.items() if one.worker == "own" or self.peers is not None]

    def versions(self) -> dict[str, str]:
        """Versions of all contenders' packages."""
        packages = sorted({one.package for one in CONTENDERS.values()} | {"numpy", "numba", "jaxlib"})
        found: dict[str, str] = {}
        for worker in dict.fromkeys(CONTENDERS[name].worker for name in self.names):
            found = {**self._ask(worker, "hello", packages=packages)["versions"], **found}
        return found

    def build(self, name: str, case: Case) -> dict[str, float]:
        """Build a contender; its first ``loss``, and the seconds of ``build`` and ``first_step``."""
        answer: dict[str, float] = self._ask(CONTENDERS[name].worker, "build", name=name, case=case.to_json())
        return answer

    def time(self, name: str, seconds: float) -> list[float]:
        """Seconds of each step that a contender took in this time."""
        found: list[float] = self._ask(CONTENDERS[name].worker, "time", name=name, seconds=seconds)["seconds"]
        return found

    def forget(self) -> None:
        """Free all contenders."""
        for worker in self.processes:
            self._ask(worker, "forget")

    def _ask(self, worker: str, do: str, **request: Any) -> dict[str, Any]:
        if worker not in self.processes:
            self.processes[worker] = self._start(worker)
        process = self.processes[worker]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the worker ended; see its message above"}
        if "error" in answer:
            raise RuntimeError(f"worker {worker!r} could not {do} {request.get('name', '')}:\n{answer['error']}")
        return answer

    def _start(self, worker: str) -> subprocess.Popen[str]:
        python = sys.executable if worker == "own" else str(self.peers)
        return subprocess.Popen(
            [python, str(HERE / "worker.py"), str(self.folder), str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **thread_limits(self.threads), "SPIKELOC_WORKER": worker},
        )
