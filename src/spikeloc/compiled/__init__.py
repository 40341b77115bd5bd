"""Compiled loops: the one folder that imports Numba.

Kernels are plain functions over a range of sounds ``[first, last)``. They release the interpreter lock, so
:func:`over_sounds` can hand ranges to a few threads, and a background thread can draw the next batch while the
present one trains. Numba's own parallel loops are avoided on purpose: they compile several times more slowly, and
their default threading layer aborts the process when two Python threads use it at once.

Compiled code is cached beside the package (or in the user's cache folder where that is read-only), so only the first
run on a new machine compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba import njit
from numba.core import event, types
from numba.extending import intrinsic

from spikeloc.compiled.threads import over_sounds, thread_count, threads_for_loops

__all__ = [
    "inlined",
    "kernel",
    "multiply_add",
    "on_first_compilation",
    "over_sounds",
    "thread_count",
    "threads_for_loops",
    "trailing_zeros",
]

ZERO_IS_DEFINED = ir.Constant(ir.IntType(1), 0)  # flag of LLVM's bit counts

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a loop for the CPU: cached on disk, lock released, IEEE arithmetic (no reordering of sums)."""
    return njit(cache=True, nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]


def inlined(function: Function) -> Function:
    """Compile a small function that other kernels call in their inner loops: it becomes part of each caller."""
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "forceinline": True}
    return njit(**options)(function)  # type: ignore[no-any-return]


@intrinsic  # type: ignore[misc]
def trailing_zeros(_: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit of a uint64; 64 for zero. Compiled code only."""
    return types.uint64(types.uint64), lambda _, builder, __, words: builder.cttz(words[0], ZERO_IS_DEFINED)


@intrinsic  # type: ignore[misc]
def multiply_add(_: Any, x: Any, y: Any, z: Any) -> Any:
    """``x * y + z`` of float32 numbers, rounded once where the processor can. Compiled code only."""

    def build(_: Any, builder: Any, __: Any, numbers: Any) -> Any:
        number = ir.FloatType()
        name, kind = "llvm.fmuladd.f32", ir.FunctionType(number, [number] * 3)
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(function, numbers)

    return types.float32(types.float32, types.float32, types.float32), build


class _OnCompilation(event.Listener):
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002
        if self.callback is not None:
            callback, self.callback = self.callback, None
            callback()

    def on_end(self, event: event.Event) -> None:
        """Nothing to do: the listener only announces the start."""


def on_first_compilation(callback: Callable[[], None]) -> None:
    """Call back when a loop has to be compiled because no cache holds it, once. Replaces an earlier callback."""
    if _listener:
        event.unregister("numba:compile", _listener.pop())
    _listener.append(_OnCompilation(callback))
    event.register("numba:compile", _listener[0])


_listener: list[_OnCompilation] = []
