"""Sixteen numbers at a time in any of our number formats: the primitives that Numba kernels are written in.

Every function takes an Arithmetic first. Its type picks the code when a kernel is compiled, so one kernel serves all
formats. Values are floats or vectors of sixteen: float32, or float64 for fp64; in fp16 they hold half values.
"""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from caterpillar.numerics.arithmetic_type import DOUBLE, FLOAT, HALF, I16, I32, LANES, ArithmeticType
from caterpillar.numerics.codegen import address, call, constant, is_number, like, round_to_half

ROUND_DOWN, ROUND_UP = 9, 10  # x86 embedded rounding, exceptions suppressed


def fused(builder, a, b, c):
    """llvm.fma: one rounding, to the operands' own type."""
    element = a.type.element if isinstance(a.type, ir.VectorType) else a.type
    lanes = f"v{LANES}" if isinstance(a.type, ir.VectorType) else ""
    return call(builder, f"llvm.fma.{lanes}f{64 if element == DOUBLE else 32}", a.type, a, b, c)


def _fused_odd(builder, a, b, c):
    """a*b + c rounded to odd in float32, portable: the error of the sum says which neighbour is the odd one.

    The product of two halves is exact in float32, and Knuth's TwoSum gives the sum's error exactly.
    """
    integer = like(a.type, I32)
    p = builder.fmul(a, b)
    s = builder.fadd(p, c)
    t = builder.fsub(s, p)
    error = builder.fadd(builder.fsub(p, builder.fsub(s, t)), builder.fsub(c, t))
    bits, error_bits = builder.bitcast(s, integer), builder.bitcast(error, integer)
    one, zero = constant(a.type, I32, 1), constant(a.type, I32, 0)
    away = builder.ashr(builder.xor(bits, error_bits), constant(a.type, I32, 31))  # -1: the error points to zero
    odd = builder.add(bits, builder.or_(away, one))
    inexact = builder.fcmp_ordered("!=", error, constant(a.type, FLOAT, 0.0))  # false for a NaN
    even = builder.icmp_signed("==", builder.and_(bits, one), zero)
    return builder.bitcast(builder.select(builder.and_(inexact, even), odd, bits), a.type)


def _fused_odd_avx512(builder, a, b, c):
    """The same from two FMAs, rounded down and up: between them lies an odd one, unless the result is exact."""
    integer = like(a.type, I32)
    name = "llvm.x86.avx512.vfmadd.ps.512"
    down = builder.bitcast(call(builder, name, a.type, a, b, c, ir.Constant(I32, ROUND_DOWN)), integer)
    up = builder.bitcast(call(builder, name, a.type, a, b, c, ir.Constant(I32, ROUND_UP)), integer)
    nearer_zero = builder.select(builder.icmp_unsigned("<", down, up), down, up)
    odd = builder.and_(builder.or_(down, up), constant(a.type, I32, 1))
    return builder.bitcast(builder.or_(nearer_zero, odd), a.type)


def fma_code(kind: ArithmeticType, builder, x, y, z):
    """x*y + z, one rounding, to the format that products are added in."""
    if kind.numerics != "fp16":
        return fused(builder, x, y, z)
    vectors = isinstance(x.type, ir.VectorType)
    fused_odd = _fused_odd_avx512 if vectors and kind.avx512 else _fused_odd
    return round_to_half(builder, fused_odd(builder, x, y, z))


@intrinsic
def fma(typingctx, ar, a, b, c):
    """a*b + c, one rounding, to the format that products are added in."""
    if not is_number(ar, a, b, c):
        return None

    def codegen(context, builder, signature, args):
        return fma_code(signature.args[0], builder, *args[1:])

    return a(ar, a, b, c), codegen


def rounded_code(kind: ArithmeticType, builder, operation: str, x, y):
    """x (operation) y, rounded once to the format that products are added in.

    In fp16: float32's rounding and then half's is the same as half's alone, since 24 >= 2 * 11 + 2 bits
    (Figueroa 1995), and sums that are subnormal halves are exact.
    """
    result = getattr(builder, operation)(x, y)
    return round_to_half(builder, result) if kind.numerics == "fp16" else result


def _rounded(operation: str):
    """An intrinsic of rounded_code."""

    def define(typingctx, ar, a, b):
        if not is_number(ar, a, b):
            return None

        def codegen(context, builder, signature, args):
            return rounded_code(signature.args[0], builder, operation, args[1], args[2])

        return a(ar, a, b), codegen

    return define


add = intrinsic(_rounded("fadd"))
mul = intrinsic(_rounded("fmul"))
div = intrinsic(_rounded("fdiv"))


def _to_bfloat(builder, x):
    """float32 to bfloat16's bits, to nearest even; a NaN stays one."""
    integer = like(x.type, I32)
    bits = builder.bitcast(x, integer)
    shift = constant(x.type, I32, 16)
    lowest = builder.and_(builder.lshr(bits, shift), constant(x.type, I32, 1))
    rounded = builder.lshr(builder.add(bits, builder.add(lowest, constant(x.type, I32, 0x7FFF))), shift)
    nan = builder.fcmp_unordered("uno", x, x)
    return builder.trunc(builder.select(nan, constant(x.type, I32, 0x7FC0), rounded), like(x.type, I16))


def _from_bfloat(builder, bits, wide):
    integer = like(wide, I32)
    return builder.bitcast(builder.shl(builder.zext(bits, integer), constant(wide, I32, 16)), wide)


def _stored_type(kind: ArithmeticType) -> ir.Type:
    narrow = {"fp16": HALF, "fp16-fp32acc": HALF, "bf16-fp32acc": I16}
    return narrow.get(kind.numerics, kind.llvm)


def _widen(kind: ArithmeticType, builder, stored):
    wide = like(stored.type, kind.llvm)
    if kind.numerics == "bf16-fp32acc":
        return _from_bfloat(builder, stored, wide)
    return builder.fpext(stored, wide) if stored.type != wide else stored


def _narrow(kind: ArithmeticType, builder, x):
    stored = like(x.type, _stored_type(kind))
    if kind.numerics == "bf16-fp32acc":
        return _to_bfloat(builder, x)
    return builder.fptrunc(x, stored) if x.type != stored else x


def stored_code(kind: ArithmeticType, builder, x):
    """x as it would be read back after it was stored."""
    return _widen(kind, builder, _narrow(kind, builder, x))


@intrinsic
def stored(typingctx, ar, x):
    """x as it would be read back after it was stored."""
    if not is_number(ar, x):
        return None

    def codegen(context, builder, signature, args):
        return stored_code(signature.args[0], builder, args[1])

    return x(ar, x), codegen


def load_code(kind: ArithmeticType, context, builder, array_type, array, index):
    """array[index : index + 16] of the storage format, as a vector."""
    vector = ir.VectorType(_stored_type(kind), LANES)
    value = builder.load(address(context, builder, array_type, array, index, vector))
    value.align = array_type.dtype.bitwidth // 8
    return _widen(kind, builder, value)


@intrinsic
def load_weights(typingctx, ar, array, index):
    """array[index : index + 16] of the storage format, as a vector."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        return load_code(kind, context, builder, array_type, args[1], args[2])

    return ar.vector(ar, array, index), codegen


def store_code(kind: ArithmeticType, context, builder, array_type, array, index, vector) -> None:
    """array[index : index + 16] = vector, rounded to the storage format."""
    value = _narrow(kind, builder, vector)
    pointer = address(context, builder, array_type, array, index, value.type)
    builder.store(value, pointer).align = array_type.dtype.bitwidth // 8


@intrinsic
def store_weights(typingctx, ar, array, index, vector):
    """array[index : index + 16] = vector, rounded to the storage format."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        store_code(kind, context, builder, array_type, *args[1:])
        return context.get_dummy_value()

    return types.void(ar, array, index, vector), codegen


@intrinsic
def load_weight(typingctx, ar, array, index):
    """array[index] of the storage format, as a float."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        element = _stored_type(kind)
        return _widen(kind, builder, builder.load(address(context, builder, array_type, args[1], args[2], element)))

    return ar.scalar(ar, array, index), codegen


@intrinsic
def item(typingctx, array, index):
    """array[index] for an index that is not negative: Python's array[-1] costs four instructions."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        element = context.get_value_type(array_type.dtype)
        return builder.load(address(context, builder, array_type, args[0], args[1], element))

    return array.dtype(array, index), codegen


@intrinsic
def load(typingctx, ar, array, index):
    """array[index : index + 16] of floats."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[1]
        vector = ir.VectorType(signature.args[0].llvm, LANES)
        value = builder.load(address(context, builder, array_type, args[1], args[2], vector))
        value.align = array_type.dtype.bitwidth // 8
        return value

    return ar.vector(ar, array, index), codegen


@intrinsic
def store(typingctx, ar, array, index, vector):
    """array[index : index + 16] = vector, for an array of floats."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[1]
        pointer = address(context, builder, array_type, args[1], args[2], args[3].type)
        builder.store(args[3], pointer).align = array_type.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(ar, array, index, vector), codegen


@intrinsic
def where_positive(typingctx, ar, condition, value):
    """value where condition > 0, else +0."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[1].type, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", args[1], zero), args[2], zero)

    return ar.vector(ar, condition, value), codegen


@intrinsic
def taint(typingctx, ar, mark, value):
    """mark, with NaN in every lane where value is a NaN or an infinity."""

    def codegen(context, builder, signature, args):
        return builder.fadd(args[1], builder.fsub(args[2], args[2]))

    return ar.vector(ar, mark, value), codegen


@intrinsic
def is_clean(typingctx, ar, mark):
    """Whether no lane of a mark is NaN."""

    def codegen(context, builder, signature, args):
        lanes = builder.bitcast(builder.fcmp_unordered("uno", args[1], args[1]), I16)
        return builder.icmp_unsigned("==", lanes, ir.Constant(I16, 0))

    return types.boolean(ar, mark), codegen


def splat_code(builder, x):
    """Sixteen times x."""
    first = ir.Constant(ir.VectorType(x.type, LANES), ir.Undefined)
    first = builder.insert_element(first, x, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))


@intrinsic
def splat(typingctx, ar, x):
    """Sixteen times x."""

    def codegen(context, builder, signature, args):
        return splat_code(builder, args[1])

    return ar.vector(ar, ar.scalar), codegen


@intrinsic
def zeros(typingctx, ar):
    """Sixteen times +0."""

    def codegen(context, builder, signature, args):
        return ir.Constant(ir.VectorType(signature.args[0].llvm, LANES), [0.0] * LANES)

    return ar.vector(ar), codegen


@intrinsic
def keep_apart(typingctx):
    """The function that calls this stays a function: it is compiled once, not into every caller."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def keep_inside(typingctx):
    """The function that calls this is compiled into its callers: passing three arrays costs a hundred moves."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), codegen
