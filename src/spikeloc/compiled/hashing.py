"""Many random numbers at once: several words of a key in one vector, compared byte by byte. Compiled code only.

The hash is that of :func:`spikeloc.randomness.word`, which defines it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["FIRST_FACTOR", "GOLDEN", "SECOND_FACTOR", "bytes_decided"]

# Odd constant of the golden ratio: consecutive counters become far apart before they are mixed.
GOLDEN = 0x9E3779B97F4A7C15
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

_BYTE, _INDEX, _WORD = (ir.IntType(bits) for bits in (8, 32, 64))
_BYTES, _WORDS = ir.VectorType(_BYTE, 32), ir.VectorType(_WORD, 4)


def _four_words(builder: Any, key: Any, counter: Any) -> Any:
    """Words ``counter`` to ``counter + 4`` of a key, as a vector."""

    def all_same(number: int) -> Any:
        return ir.Constant(_WORDS, [number] * 4)

    undefined = ir.Constant(_WORDS, ir.Undefined)
    base = builder.add(key, builder.mul(counter, _WORD(GOLDEN)))
    base = builder.insert_element(undefined, base, _INDEX(0))
    base = builder.shuffle_vector(base, undefined, ir.Constant(ir.VectorType(_INDEX, 4), [0] * 4))
    z = builder.add(base, ir.Constant(_WORDS, [(i + 1) * GOLDEN % 2**64 for i in range(4)]))
    z = builder.mul(builder.xor(z, builder.lshr(z, all_same(30))), all_same(FIRST_FACTOR))
    z = builder.mul(builder.xor(z, builder.lshr(z, all_same(27))), all_same(SECOND_FACTOR))
    return builder.xor(z, builder.lshr(z, all_same(31)))


@intrinsic  # type: ignore[misc]
def bytes_decided(_: Any, key: Any, counter: Any, low: Any, high: Any, position: Any) -> Any:  # noqa: ARG001
    """Whether bytes b_i of four words, lowest first, are less than low_i (bit i), or from low_i to high_i (bit 32 + i).

    low, high   uint8 tables, from ``position`` on; low <= high + 1
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        key, counter, low, high, position = arguments
        found = builder.bitcast(_four_words(builder, key, counter), _BYTES)

        def compared(symbol: str, table: Any, table_type: Any) -> Any:
            data = context.make_array(table_type)(context, builder, table).data
            entries = builder.load(builder.bitcast(builder.gep(data, [position]), _BYTES.as_pointer()), align=1)
            return builder.zext(builder.bitcast(builder.icmp_unsigned(symbol, found, entries), _INDEX), _WORD)

        below = compared("<", low, signature.args[2])
        not_above = compared("<=", high, signature.args[3])
        return builder.or_(below, builder.shl(builder.xor(below, not_above), _WORD(32)))

    return types.uint64(types.uint64, types.uint64, low, high, types.uint64), build
