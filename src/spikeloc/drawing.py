"""Drawing beside computing: a process of its own draws the pictures while this one goes on.

A picture is told by the name of a function of :mod:`spikeloc.figures` and the plain numbers to call it with. So the
process that computes never imports Matplotlib, and the one that draws imports neither PyTorch nor Numba.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeloc.figures import Figure

__all__ = ["Drawer", "Picture", "picture"]


@dataclass(frozen=True)
class Picture:
    """A picture to be drawn: a function of :mod:`spikeloc.figures` by its name, and its arguments."""

    function: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def figure(self) -> Figure:
        """The picture as a figure, drawn here and now."""
        from spikeloc import figures

        figure: Figure = getattr(figures, self.function)(*self.arguments, **self.options)
        return figure

    def png(self) -> bytes:
        """The picture as a PNG, drawn here and now."""
        from spikeloc import figures

        return figures.save(self.figure())


def picture(function: str, /, *arguments: Any, **options: Any) -> Picture:
    """What ``figures.function(*arguments, **options)`` draws."""
    return Picture(function, arguments, options)


class Drawer:
    """Takes pictures as they become known, and gives them back as PNGs.

    Within its ``with`` block they are drawn in another process; without, on one processor, on Windows, or if that
    process fails for any reason, they are drawn here when they are asked for.
    """

    def __init__(self) -> None:
        self._pictures: dict[str, Picture] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Drawer:
        if _processors() > 1 and os.name == "posix" and sys.executable:
            self._connection, other_end = Pipe()
            with other_end, suppress(OSError):
                self._process = _start(other_end.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def draw(self, pictures: Mapping[str, Picture]) -> None:
        """Take pictures by their names, and begin to draw them; those that were taken before, only once."""
        new = {name: each for name, each in pictures.items() if name not in self._pictures}
        self._pictures |= new
        if self._connection is not None:
            try:
                self._connection.send(new)
            except OSError:
                self._disconnect()

    def finished(self) -> dict[str, bytes]:
        """All pictures that were taken, as PNGs."""
        if self._connection is not None:
            try:
                self._connection.send(None)
                drawn: dict[str, bytes] = self._connection.recv()
                return drawn
            except (EOFError, OSError):
                self._disconnect()
        return {name: each.png() for name, each in self._pictures.items()}

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _start(handle: int) -> subprocess.Popen[bytes]:
    """A process that serves the connection of this handle; an interrupt of this process does not reach it."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from spikeloc.drawing import serve; serve({handle})"
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, pass_fds=[handle], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def serve(handle: int) -> None:
    """Draw what comes, and send it back when there is no more; ends as soon as nobody is connected."""
    from spikeloc import figures  # noqa: F401  (imported by the time that the first picture comes)

    drawn: dict[str, bytes] = {}
    with Connection(handle) as connection, suppress(EOFError, OSError):
        while (pictures := connection.recv()) is not None:
            drawn |= {name: each.png() for name, each in pictures.items()}
        connection.send(drawn)


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
