"""Threads for compiled loops: a range of sounds, cut into pieces that several threads take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from queue import SimpleQueue
from threading import Lock, Thread

import torch

__all__ = ["over_sounds", "thread_count", "threads_for_loops"]

PIECES = 2  # for each thread: one that comes late, or is held up, leaves some to the others

_lent: list[int] = []  # numbers of threads that PyTorch has lent to compiled loops, innermost last


def thread_count() -> int:
    """Threads that compiled loops use: as many as PyTorch does, or has lent them."""
    return _lent[-1] if _lent else torch.get_num_threads()


@contextmanager
def threads_for_loops() -> Iterator[None]:
    """Within this block all threads belong to compiled loops, and PyTorch's own operations use one.

    PyTorch's threads wait for their next piece of work by spinning, so after every small matrix product they would
    keep for themselves the processors that compiled loops need: on two cores that made training several times slower.
    """
    count = torch.get_num_threads()
    _lent.append(thread_count())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)
        _lent.pop()


def over_sounds(function: Callable[..., object], n_sounds: int, *arguments: object, chunk: int = 1) -> None:
    """Call ``function(first, last, *arguments)`` over all sounds, split over :func:`thread_count` threads.

    Ranges begin at multiples of ``chunk``. A kernel that sums over sounds keeps one accumulator per chunk and adds
    them in order afterwards, so that its result depends neither on the number of threads nor on who took which range.
    """
    n_chunks = -(-n_sounds // chunk)
    n_threads = min(thread_count(), n_chunks)
    if n_threads <= 1:
        function(0, n_sounds, *arguments)
        return
    n_pieces = min(n_chunks, PIECES * n_threads)
    edges = [min(n_sounds, (i * n_chunks // n_pieces) * chunk) for i in range(n_pieces + 1)]
    work = _Work(function, list(pairwise(edges)), arguments, n_threads - 1)
    _ask_helpers(work, n_threads - 1)
    work.do()


class _Work:
    """Calls to make, for the thread that asks and for helpers, should they come in time.

    An executor would do the same, but a training step hands work over twice a millisecond, and one with a future for
    each piece took a twentieth of that.
    """

    def __init__(
        self,
        function: Callable[..., object],
        ranges: list[tuple[int, int]],
        arguments: tuple[object, ...],
        n_helpers: int,
    ) -> None:
        self.function, self.arguments, self.n_helpers = function, arguments, n_helpers
        # Whoever gets the next item of an iterator over a list or a range is the only one to get it.
        self.ranges, self.places = iter(ranges), iter(range(n_helpers))
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def do(self) -> None:
        """Make calls until none are left, and wait for the helpers that make the last ones."""
        try:
            self._take()
        finally:
            came_too_late = len(list(self.places))
            errors = [self.ended.get() for _ in range(self.n_helpers - came_too_late)]
        for error in errors:
            if error is not None:
                raise error

    def help(self) -> None:
        """Make calls until none are left, unless all is over."""
        if next(self.places, None) is None:
            return
        try:
            self._take()
        except BaseException as error:  # noqa: BLE001  (raised where the work was asked for)
            self.ended.put(error)
        else:
            self.ended.put(None)

    def _take(self) -> None:
        for first, last in self.ranges:
            self.function(first, last, *self.arguments)


_asked: SimpleQueue[_Work] = SimpleQueue()
_helpers: list[Thread] = []
_hiring = Lock()


def _ask_helpers(work: _Work, count: int) -> None:
    if len(_helpers) < count:
        with _hiring:
            while len(_helpers) < count:
                _helpers.append(Thread(target=_help_for_ever, name="spikeloc", daemon=True))
                _helpers[-1].start()
    for _ in range(count):
        _asked.put(work)


def _help_for_ever() -> None:
    while True:
        _asked.get().help()
