"""Constants of a format, and the parts of a float, for the functions."""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from caterpillar.numerics.arithmetic_type import DOUBLE, FLOAT, I32, I64
from caterpillar.numerics.codegen import round_to_half


@intrinsic
def number(typingctx, ar, x):
    """A float64 constant in the format that products are added in."""

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        value = args[1] if kind.numerics == "fp64" else builder.fptrunc(args[1], FLOAT)
        return round_to_half(builder, value) if kind.numerics == "fp16" else value

    return ar.scalar(ar, types.float64), codegen


@intrinsic
def by_width(typingctx, ar, half, single, double):
    """Of three constants the one for this format's sums; taken when the kernel is compiled."""

    def codegen(context, builder, signature, args):
        return args[{"fp16": 1, "fp64": 3}.get(signature.args[0].numerics, 2)]

    return half(ar, half, half, half), codegen


@intrinsic
def float_bits(typingctx, ar, x):
    """The bits of a float as an int64."""

    def codegen(context, builder, signature, args):
        double = args[1].type == DOUBLE
        value = builder.bitcast(args[1], I64 if double else I32)
        return value if double else builder.zext(value, I64)

    return types.int64(ar, x), codegen


@intrinsic
def power_of_two(typingctx, ar, exponent):
    """2 ** exponent, exact, for exponents of normal numbers."""

    def codegen(context, builder, signature, args):
        i64 = I64
        if signature.args[0].numerics == "fp64":
            biased = builder.add(args[1], ir.Constant(i64, 1023))
            return builder.bitcast(builder.shl(biased, ir.Constant(i64, 52)), DOUBLE)
        biased = builder.trunc(builder.add(args[1], ir.Constant(i64, 127)), I32)
        return builder.bitcast(builder.shl(biased, ir.Constant(I32, 23)), FLOAT)

    return ar.scalar(ar, types.int64), codegen
