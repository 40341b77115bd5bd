"""Thirty-two neurons at a time: a Numba type for 32 float32 numbers, and the operations that kernels need.

Loops over neurons are short (tens of neurons), and in them a compiler spends more on checks and remainders than on
arithmetic. A value of type ``Lanes`` is 32 neighbouring neurons, which the compiler keeps in vector registers of
whatever width the processor has. Kernels then read like scalar code: ``v = choose(v > one, zero, a * v) + current``.
Arithmetic is IEEE, lane by lane, and never contracted or reordered, except in :func:`muladd`, which says so.

Arrays are C-contiguous, and there are no bounds checks. A ``row`` counts groups of 32 elements from an array's first
element, a ``position`` counts single elements.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

__all__ = [
    "LANES",
    "absolute",
    "at",
    "choose",
    "count_bits",
    "fill",
    "first_lanes",
    "inlined",
    "load",
    "load_at",
    "load_first",
    "lowest_bit",
    "mask_bits",
    "muladd",
    "nonzero_bits",
    "one_bits",
    "power_of_two",
    "prefetch",
    "store",
    "store_at",
    "store_first",
    "whole",
]

LANES = 32

_BOOL, _BYTE, _INT32, _INT64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_FLOAT = ir.FloatType()
_CACHE_LINE = 64  # bytes
_FLOATS, _INTS, _BOOLS = (ir.VectorType(element, LANES) for element in (_FLOAT, _INT32, _BOOL))


class LanesType(types.Type):  # type: ignore[misc]
    """Numba's type of 32 float32 numbers."""


class MaskType(types.Type):  # type: ignore[misc]
    """Numba's type of 32 truth values."""


_LANES, _MASK = LanesType(f"Lanes{LANES}"), MaskType(f"Mask{LANES}")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _FLOATS)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _BOOLS)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a helper into each kernel that calls it: lanes that cross a real call would be copied to memory."""
    return njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")(function)


# ---- memory ----------------------------------------------------------------------------------------------------------


def _address(context: Any, builder: Any, array_type: Any, array: Any, position: Any, position_type: Any) -> Any:
    """Pointer to the element at a position, counted from the array's first element."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [context.cast(builder, position, position_type, types.intp)])


def _row_address(context: Any, builder: Any, array_type: Any, array: Any, row: Any, row_type: Any) -> Any:
    """Pointer to a row of lanes."""
    row = context.cast(builder, row, row_type, types.intp)
    position = builder.mul(row, ir.Constant(row.type, LANES))
    address = _address(context, builder, array_type, array, position, types.intp)
    return builder.bitcast(address, _FLOATS.as_pointer())


def _lanes_address(context: Any, builder: Any, array_type: Any, array: Any, position: Any, position_type: Any) -> Any:
    """Pointer to the lanes that begin at a position."""
    address = _address(context, builder, array_type, array, position, position_type)
    return builder.bitcast(address, _FLOATS.as_pointer())


def _masked(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, function_type, name)
    return builder.call(function, arguments)


@intrinsic  # type: ignore[untyped-decorator]
def at(_: Any, array: Any, position: Any) -> Any:
    """The one element at a position."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        types_ = signature.args
        address = _address(context, builder, types_[0], arguments[0], arguments[1], types_[1])
        return context.unpack_value(builder, types_[0].dtype, address)

    return array.dtype(array, position), build


def _loader(address: Callable[..., Any]) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        return builder.load(address(context, builder, signature.args[0], array, place, signature.args[1]), align=4)

    return build


def _storer(address: Callable[..., Any]) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, value = arguments
        pointer = address(context, builder, signature.args[0], array, place, signature.args[1])
        builder.store(value, pointer, align=4)
        return context.get_dummy_value()

    return build


@intrinsic  # type: ignore[untyped-decorator]
def load(_: Any, array: Any, row: Any) -> Any:
    """A row of lanes."""
    return _LANES(array, row), _loader(_row_address)


@intrinsic  # type: ignore[untyped-decorator]
def load_at(_: Any, array: Any, position: Any) -> Any:
    """The 32 elements from a position on."""
    return _LANES(array, position), _loader(_lanes_address)


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Any, array: Any, row: Any, value: Any) -> Any:
    """Write a row of lanes."""
    return types.void(array, row, value), _storer(_row_address)


@intrinsic  # type: ignore[untyped-decorator]
def store_at(_: Any, array: Any, position: Any, value: Any) -> Any:
    """Write the 32 elements from a position on."""
    return types.void(array, position, value), _storer(_lanes_address)


@intrinsic  # type: ignore[untyped-decorator]
def load_first(_: Any, array: Any, position: Any, mask: Any) -> Any:
    """Those elements from a position on whose lane is in the mask, zero in the others; reads no memory for those."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _lanes_address(context, builder, signature.args[0], arguments[0], arguments[1], signature.args[1])
        operands = [address, _INT32(4), arguments[2], ir.Constant(_FLOATS, [0.0] * LANES)]
        return _masked(builder, f"llvm.masked.load.v{LANES}f32.p0", _FLOATS, operands)

    return _LANES(array, position, mask), build


@intrinsic  # type: ignore[untyped-decorator]
def store_first(_: Any, array: Any, position: Any, mask: Any, value: Any) -> Any:
    """Write those elements from a position on whose lane is in the mask; touches no memory for the others."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _lanes_address(context, builder, signature.args[0], arguments[0], arguments[1], signature.args[1])
        operands = [arguments[3], address, _INT32(4), arguments[2]]
        _masked(builder, f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), operands)
        return context.get_dummy_value()

    return types.void(array, position, mask, value), build


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_: Any, array: Any, row: Any) -> Any:
    """Ask for a row of lanes to be brought near; it need not exist."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _row_address(context, builder, signature.args[0], arguments[0], arguments[1], signature.args[1])
        address = builder.bitcast(address, _BYTE.as_pointer())
        for offset in range(0, 4 * LANES, _CACHE_LINE):
            line = builder.gep(address, [_INT32(offset)])
            _masked(builder, "llvm.prefetch.p0", ir.VoidType(), [line, _INT32(0), _INT32(3), _INT32(1)])
        return context.get_dummy_value()

    return types.void(array, row), build


# ---- arithmetic ------------------------------------------------------------------------------------------------------


def _splat(builder: Any, scalar: Any, vector_type: Any) -> Any:
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, scalar, _INT32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    return _masked(builder, f"llvm.{name}.v{LANES}f32", _FLOATS, list(arguments))


@intrinsic  # type: ignore[untyped-decorator]
def fill(_: Any, number: Any) -> Any:
    """The same number in all lanes."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, context.cast(builder, arguments[0], signature.args[0], types.float32), _FLOATS)

    return _LANES(number), build


@intrinsic  # type: ignore[untyped-decorator]
def first_lanes(_: Any, count: Any) -> Any:
    """The mask of the first ``count`` lanes."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = _splat(builder, context.cast(builder, arguments[0], signature.args[0], types.int32), _INTS)
        return builder.icmp_signed("<", ir.Constant(_INTS, list(range(LANES))), count)

    return _MASK(count), build


@intrinsic  # type: ignore[untyped-decorator]
def choose(_: Any, mask: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the mask holds, ``no`` elsewhere; what is not chosen has no effect, not even if it is NaN."""
    return _LANES(mask, yes, no), lambda context, builder, signature, arguments: builder.select(*arguments)


@intrinsic  # type: ignore[untyped-decorator]
def muladd(_: Any, x: Any, y: Any, z: Any) -> Any:
    """``x * y + z``, rounded once or twice as the processor likes; not for anything that decides a spike."""
    return _LANES(x, y, z), lambda context, builder, signature, arguments: _call(builder, "fmuladd", *arguments)


@intrinsic  # type: ignore[untyped-decorator]
def absolute(_: Any, x: Any) -> Any:
    """``|x|``."""
    return _LANES(x), lambda context, builder, signature, arguments: _call(builder, "fabs", *arguments)


@intrinsic  # type: ignore[untyped-decorator]
def whole(_: Any, x: Any) -> Any:
    """The nearest whole number."""
    return _LANES(x), lambda context, builder, signature, arguments: _call(builder, "rint", *arguments)


@intrinsic  # type: ignore[untyped-decorator]
def power_of_two(_: Any, x: Any) -> Any:
    """``2^x`` for whole numbers x from -126 to 127: x, put where a float32 keeps its exponent."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        exponent = builder.add(builder.fptosi(arguments[0], _INTS), ir.Constant(_INTS, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_INTS, [23] * LANES)), _FLOATS)

    return _LANES(x), build


def _define_operator(symbol: Callable[..., Any], result: Any, build: Callable[..., Any]) -> None:
    # Typed and lowered directly: a compiled function for each operator would make compilation several times longer.
    @type_callable(symbol)  # type: ignore[untyped-decorator]
    def typed(_: Any) -> Any:
        return lambda x, y: result if isinstance(x, LanesType) and isinstance(y, LanesType) else None

    @lower_builtin(symbol, LanesType, LanesType)  # type: ignore[untyped-decorator]
    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return build(builder, *arguments)


_define_operator(operator.add, _LANES, lambda builder, x, y: builder.fadd(x, y))
_define_operator(operator.sub, _LANES, lambda builder, x, y: builder.fsub(x, y))
_define_operator(operator.mul, _LANES, lambda builder, x, y: builder.fmul(x, y))
_define_operator(operator.truediv, _LANES, lambda builder, x, y: builder.fdiv(x, y))
_define_operator(operator.gt, _MASK, lambda builder, x, y: builder.fcmp_ordered(">", x, y))


# ---- 32 elements as 32 bits ------------------------------------------------------------------------------------------


def _compared(value: int) -> Any:
    """Bits that say which of the 32 elements from a position on differ from (0) or equal (1) that value."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        pointer = _address(context, builder, array_type, arguments[0], arguments[1], signature.args[1])
        vector_type = ir.VectorType(pointer.type.pointee, LANES)
        elements = builder.load(builder.bitcast(pointer, vector_type.as_pointer()), align=1)
        wanted = ir.Constant(vector_type, [value] * LANES)
        symbol = "==" if value else "!="
        if isinstance(vector_type.element, ir.FloatType):
            # NaN differs from every number.
            compared = (builder.fcmp_ordered if value else builder.fcmp_unordered)(symbol, elements, wanted)
        else:
            compared = builder.icmp_unsigned(symbol, elements, wanted)
        return builder.zext(builder.bitcast(compared, _INT32), _INT64)

    return build


@intrinsic  # type: ignore[untyped-decorator]
def nonzero_bits(_: Any, array: Any, position: Any) -> Any:
    """Bit n says that the n-th element from a position on is not zero."""
    return types.uint64(array, position), _compared(0)


@intrinsic  # type: ignore[untyped-decorator]
def one_bits(_: Any, array: Any, position: Any) -> Any:
    """Bit n says that the n-th element from a position on is one."""
    return types.uint64(array, position), _compared(1)


@intrinsic  # type: ignore[untyped-decorator]
def mask_bits(_: Any, mask: Any) -> Any:
    """Bit n says whether lane n is in the mask."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.bitcast(arguments[0], _INT32), _INT64)

    return types.uint64(mask), build


@intrinsic  # type: ignore[untyped-decorator]
def count_bits(_: Any, bits: Any) -> Any:
    """How many of 64 bits are set."""
    return types.int64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(_: Any, bits: Any) -> Any:
    """Which is the lowest set bit of 64, not all of them zero."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _BOOL(1))

    return types.int64(types.uint64), build
