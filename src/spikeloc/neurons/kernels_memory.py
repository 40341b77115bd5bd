"""Memory that is used again: a layer's buffers come back to where the next step finds them.

Buffers of a layer are large and live for one step. The system would take such memory back at once and give it anew
page by page, each page cleared, which can cost more than what the layer computes.
"""

from __future__ import annotations

import math
from threading import Lock

import numpy as np

__all__ = ["room"]

CACHE_LINE = 64  # bytes; lanes that begin at one touch no line more than they must
PADDING = CACHE_LINE // 4  # numbers
SMALL = 2**16  # numbers; smaller buffers are not worth looking for
WAITING_BYTES = 256 * 2**20  # a new buffer is made only after those that wait have been let go down to this

_waiting: list[np.ndarray] = []
_taking = Lock()


class _Loan:
    """A buffer that joins those that wait once the last array or tensor that shares its memory is gone."""

    def __init__(self, buffer: np.ndarray, size: int) -> None:
        self.buffer = buffer
        begin = _first_line(buffer)
        self.__array_interface__ = {"version": 3, "typestr": "<f4", "shape": (size,), "data": (begin, False)}

    def __del__(self) -> None:
        _waiting.append(self.buffer)


def room(*shape: int) -> np.ndarray:
    """An array of float32 numbers yet to be written, from the beginning of a cache line on."""
    size = math.prod(shape)
    if size < SMALL:
        buffer = np.empty(size + PADDING, dtype=np.float32)
        return np.ndarray(shape, np.float32, buffer, _first_line(buffer) - _address(buffer))
    return np.asarray(_Loan(_find(size + PADDING), size)).reshape(shape)


def _address(buffer: np.ndarray) -> int:
    return int(buffer.__array_interface__["data"][0])


def _first_line(buffer: np.ndarray) -> int:
    """Address of the first cache line that begins in a buffer."""
    address = _address(buffer)
    return address + -address % CACHE_LINE


def _find(size: int) -> np.ndarray:
    """The last buffer returned of at least that size and less than twice as much; a new one where none waits."""
    with _taking:  # others only append meanwhile
        for place in reversed(range(len(_waiting))):
            if size <= _waiting[place].size < 2 * size:
                return _waiting.pop(place)
        while sum(buffer.nbytes for buffer in _waiting) > WAITING_BYTES:
            del _waiting[0]
    return np.empty(size, dtype=np.float32)
