"""Vectors of 16 lanes inside a kernel, for loops that the compiler does not turn into vector code itself.

A value of type `Lanes` lives in registers (one of 512 bits, two of 256 bits, …, as the processor has them).
The functions work in kernels only. They are spelled out instruction by instruction, so that a result does not
depend on what the optimiser makes of a loop.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as numba_cgutils
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

WIDTH = 16

cgutils: Any = numba_cgutils
intrinsic: Any = numba_intrinsic  # which hands back a function of fewer arguments than it takes

__all__ = [
    "WIDTH",
    "add",
    "below",
    "cosine",
    "divide",
    "exponential",
    "fma",
    "fms",
    "highest",
    "load",
    "load_row",
    "multiply",
    "root",
    "sine",
    "splat",
    "store",
    "store_row",
    "subtract",
    "top",
    "total",
]  # fmt: skip


class Lanes(types.Type):
    """Sixteen values of one floating-point type."""

    def __init__(self, real: Any) -> None:
        self.real = real
        super().__init__(name=f"Lanes({real})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            manager, kind, ir.VectorType(_scalar(kind.real), WIDTH)
        )


SINGLE, DOUBLE = Lanes(types.float32), Lanes(types.float64)
OF = {types.float32: SINGLE, types.float64: DOUBLE}


def _scalar(real: Any) -> Any:
    return ir.FloatType() if real == types.float32 else ir.DoubleType()


def _vector(kind: Lanes) -> Any:
    return ir.VectorType(_scalar(kind.real), WIDTH)


def _call(builder: Any, name: str, kind: Lanes, result: Any, *values: Any) -> Any:
    """An LLVM intrinsic of this vector type."""
    suffix = "v16f32" if kind.real == types.float32 else "v16f64"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(result, [v.type for v in values]), f"llvm.{name}.{suffix}"
    )
    return builder.call(function, values)


def _place(context: Any, builder: Any, array_type: Any, array: Any, *index: Any) -> Any:
    """Pointer to the lanes that begin at an element of a C-contiguous array, without a check of bounds."""
    view = context.make_array(array_type)(context, builder, array)
    offset = index[-1]
    if len(index) == 2:
        columns = cgutils.unpack_tuple(builder, view.shape, 2)[1]
        offset = builder.add(builder.mul(index[0], columns), index[1])
    lanes = _vector(OF[array_type.dtype])
    return builder.bitcast(builder.gep(view.data, [offset]), lanes.as_pointer())


def _constant(kind: Lanes, value: float) -> Any:
    return ir.Constant(_vector(kind), [value] * WIDTH)


def _repeat(builder: Any, value: Any) -> Any:
    """A scalar in every lane."""
    one = ir.VectorType(value.type, WIDTH)
    first = builder.insert_element(ir.Constant(one, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(one, ir.Undefined), order)


def _at(context: Any, array_type: Any, indices: int) -> tuple[Any, Any]:
    """Type of the lanes and the index arguments for an array."""
    assert (array_type.layout, array_type.ndim) == ("C", indices)
    return OF[array_type.dtype], (types.intp,) * indices


@intrinsic
def load_row(context: Any, array: Any, row: Any, column: Any) -> Any:
    """Elements [row, column … column + 15] of a matrix."""
    kind, where = _at(context, array, 2)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return kind(array, *where), generate


@intrinsic
def load(context: Any, array: Any, first: Any) -> Any:
    """Elements [first … first + 15] of a vector."""
    kind, where = _at(context, array, 1)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values)
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return kind(array, *where), generate


@intrinsic
def store_row(context: Any, array: Any, row: Any, column: Any, lanes: Any) -> Any:
    """Write the lanes to elements [row, column … column + 15] of a matrix."""
    _, where = _at(context, array, 2)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values[:3])
        builder.store(values[3], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, *where, lanes), generate


@intrinsic
def store(context: Any, array: Any, first: Any, lanes: Any) -> Any:
    """Write the lanes to elements [first … first + 15] of a vector."""
    _, where = _at(context, array, 1)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, array, *values[:2])
        builder.store(values[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, *where, lanes), generate


@intrinsic
def splat(context: Any, value: Any) -> Any:
    """A number in every lane."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _repeat(builder, values[0])

    return OF[value](value), generate


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _call(builder, "fma", a, _vector(a), *values)

    return a(a, a, a), generate


@intrinsic
def fms(context: Any, a: Any, b: Any, c: Any) -> Any:
    """c - a b."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _call(builder, "fma", a, _vector(a), builder.fneg(values[0]), *values[1:])

    return a(a, a, a), generate


@intrinsic
def add(context: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return a(a, a), lambda context, builder, signature, values: builder.fadd(*values)


@intrinsic
def subtract(context: Any, a: Any, b: Any) -> Any:
    """a - b."""
    return a(a, a), lambda context, builder, signature, values: builder.fsub(*values)


@intrinsic
def multiply(context: Any, a: Any, b: Any) -> Any:
    """a b."""
    return a(a, a), lambda context, builder, signature, values: builder.fmul(*values)


@intrinsic
def divide(context: Any, a: Any, b: Any) -> Any:
    """a / b."""
    return a(a, a), lambda context, builder, signature, values: builder.fdiv(*values)


@intrinsic
def root(context: Any, a: Any) -> Any:
    """√a."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _call(builder, "sqrt", a, _vector(a), *values)

    return a(a), generate


@intrinsic
def highest(context: Any, a: Any, b: Any) -> Any:
    """The larger of a and b in each lane; b where a is not a number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return a(a, a), generate


@intrinsic
def below(context: Any, a: Any, count: Any) -> Any:
    """a in the first `count` lanes, 0 in the others."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(32)
        lane = ir.Constant(ir.VectorType(word, WIDTH), list(range(WIDTH)))
        limit = _repeat(builder, builder.trunc(values[1], word))
        inside = builder.icmp_signed("<", lane, limit)
        return builder.select(inside, values[0], _constant(a, 0.0))

    return a(a, types.intp), generate


@intrinsic
def total(context: Any, a: Any) -> Any:
    """Sum over the lanes: neighbours at a distance of 8, 4, 2 and 1."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _fold(builder, values[0], builder.fadd)

    return a.real(a), generate


@intrinsic
def top(context: Any, a: Any) -> Any:
    """The largest of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def larger(x: Any, y: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", x, y), x, y)

        return _fold(builder, values[0], larger)

    return a.real(a), generate


def _fold(builder: Any, value: Any, combine: Any) -> Any:
    word, half = ir.IntType(32), WIDTH // 2
    while half:
        order = ir.VectorType(word, half)
        low = ir.Constant(order, list(range(half)))
        high = ir.Constant(order, list(range(half, 2 * half)))
        value = combine(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
        half //= 2
    return builder.extract_element(value, ir.Constant(word, 0))


# Cephes expf on [-½ ln 2, ½ ln 2], and ln 2 in two parts.
POLYNOMIAL = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
)  # fmt: skip
LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
LOWEST = -87.0


@intrinsic
def exponential(context: Any, a: Any) -> Any:
    """eᵃ for a ≤ 0; in single precision Cephes expf, 0 below the smallest normal number."""

    def double(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _call(builder, "exp", a, _vector(a), *values)

    def single(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def fused(x: Any, y: Any, z: Any) -> Any:
            return _call(builder, "fma", a, _vector(a), x, y, z)

        (x,) = values
        words = ir.VectorType(ir.IntType(32), WIDTH)
        n = _call(builder, "floor", a, _vector(a), fused(x, _constant(a, LOG2_E), _constant(a, 0.5)))
        r = fused(n, _constant(a, -LN2_HIGH), x)
        r = fused(n, _constant(a, -LN2_LOW), r)
        p = _constant(a, POLYNOMIAL[0])
        for coefficient in POLYNOMIAL[1:]:
            p = fused(p, r, _constant(a, coefficient))
        p = builder.fadd(fused(p, builder.fmul(r, r), r), _constant(a, 1.0))
        exponent = builder.add(builder.fptosi(n, words), ir.Constant(words, [127] * WIDTH))
        power = builder.bitcast(builder.shl(exponent, ir.Constant(words, [23] * WIDTH)), _vector(a))
        normal = builder.fcmp_unordered(">", x, _constant(a, LOWEST))  # what is not a number shows
        return builder.select(normal, builder.fmul(p, power), _constant(a, 0.0))

    return a(a), single if a.real == types.float32 else double


# Cephes sinf and cosf on [-π/4, π/4].
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


def _wave(kind: Any, shift: int) -> Any:
    """Generator of the sine of an angle in quarter turns, advanced by `shift` quarter turns."""

    def double(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        angle = builder.fmul(values[0], _constant(kind, math.pi / 2))
        return _call(builder, "cos" if shift else "sin", kind, _vector(kind), angle)

    def single(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def fused(x: Any, y: Any, z: Any) -> Any:
            return _call(builder, "fma", kind, _vector(kind), x, y, z)

        def whole(value: int) -> Any:
            return ir.Constant(words, [value] * WIDTH)

        (quarters,) = values
        words = ir.VectorType(ir.IntType(32), WIDTH)
        nearest = _call(builder, "floor", kind, _vector(kind), builder.fadd(quarters, _constant(kind, 0.5)))
        x = builder.fmul(builder.fsub(quarters, nearest), _constant(kind, math.pi / 2))
        x2 = builder.fmul(x, x)
        s, c = _constant(kind, SINE[0]), _constant(kind, COSINE[0])
        for a, b in zip(SINE[1:], COSINE[1:], strict=True):
            s, c = fused(s, x2, _constant(kind, a)), fused(c, x2, _constant(kind, b))
        s = fused(builder.fmul(s, x2), x, x)
        c = fused(builder.fmul(c, x2), x2, fused(x2, _constant(kind, -0.5), _constant(kind, 1.0)))
        quadrant = builder.add(builder.fptosi(nearest, words), whole(shift))
        odd = builder.icmp_signed("!=", builder.and_(quadrant, whole(1)), whole(0))
        value = builder.bitcast(builder.select(odd, c, s), words)
        sign = builder.shl(builder.and_(quadrant, whole(2)), whole(30))
        return builder.bitcast(builder.xor(value, sign), _vector(kind))

    return single if kind.real == types.float32 else double


@intrinsic
def sine(context: Any, quarters: Any) -> Any:
    """Sine of an angle in quarter turns."""
    return quarters(quarters), _wave(quarters, 0)


@intrinsic
def cosine(context: Any, quarters: Any) -> Any:
    """Cosine of an angle in quarter turns."""
    return quarters(quarters), _wave(quarters, 1)
