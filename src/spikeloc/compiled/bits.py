"""Bits and bytes in compiled loops: words that LLVM has instructions for and Numba has none. Compiled code only."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["PLACES", "bytes_above", "count_ones", "write_sums"]

_BITS = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]
PLACES = np.array([bits + [0] * (8 - len(bits)) for bits in _BITS], dtype=np.uint16).reshape(-1)  # of a byte's set bits

_BYTE, _SHORT, _INDEX, _WORD = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_SIXTEEN_BYTES, _EIGHT_SHORTS = ir.VectorType(_BYTE, 16), ir.VectorType(_SHORT, 8)


@intrinsic  # type: ignore[misc]
def count_ones(_: Any, word: Any) -> Any:  # noqa: ARG001
    """How many bits of a uint64 are set."""
    return types.uint64(types.uint64), lambda _, builder, __, words: builder.ctpop(words[0])


def _address(context: Any, builder: Any, array_type: Any, array: Any, position: Any, vector_type: Any) -> Any:
    """Pointer to the elements of an array from a position on, as a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [position]), vector_type.as_pointer())


def _bytes_compared(symbol: str) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        low, high, array, position = arguments
        words = ir.Constant(ir.VectorType(_WORD, 2), ir.Undefined)
        words = builder.insert_element(builder.insert_element(words, low, _INDEX(0)), high, _INDEX(1))
        address = _address(context, builder, signature.args[2], array, position, _SIXTEEN_BYTES)
        others = builder.load(address, align=1)
        found = builder.icmp_unsigned(symbol, builder.bitcast(words, _SIXTEEN_BYTES), others)
        return builder.zext(builder.bitcast(found, _SHORT), _WORD)

    return build


@intrinsic  # type: ignore[misc]
def bytes_above(_: Any, low: Any, high: Any, array: Any, position: Any) -> Any:  # noqa: ARG001
    """Bit i says whether byte i of two uint64, lowest first, is more than ``array[position + i]``, a uint8; 16 bits."""
    return types.uint64(types.uint64, types.uint64, array, types.uint64), _bytes_compared(">")


@intrinsic  # type: ignore[misc]
def write_sums(_: Any, array: Any, position: Any, table: Any, row: Any, number: Any) -> Any:  # noqa: ARG001
    """``array[position : position + 8] = table[8 * row : 8 * row + 8] + number``, all uint16."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, position, table, row, number = arguments
        target = _address(context, builder, signature.args[0], array, position, _EIGHT_SHORTS)
        entry = builder.shl(row, _WORD(3))
        entries = builder.load(_address(context, builder, signature.args[2], table, entry, _EIGHT_SHORTS), align=2)
        undefined = ir.Constant(_EIGHT_SHORTS, ir.Undefined)
        first = builder.insert_element(undefined, builder.trunc(number, _SHORT), _INDEX(0))
        numbers = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, 8), [0] * 8))
        builder.store(builder.add(entries, numbers), target, align=2)
        return context.get_dummy_value()

    return types.void(array, types.uint64, table, types.uint64, types.uint64), build
