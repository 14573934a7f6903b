"""Stochastic rounding of weight updates, from counter-based random bits."""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from caterpillar.numerics.arithmetic_type import FLOAT, I32, I64, LANES, ArithmeticType
from caterpillar.numerics.codegen import constant, like, round_to_half
from caterpillar.numerics.vector import fma_code, fused


def update_code(kind: ArithmeticType, builder, x, y, z, key, number):
    """x*y + z for weights about to be stored; see fma_update."""
    if not kind.stochastic:
        return fma_code(kind, builder, x, y, z)
    return _store_at_random(kind, builder, fused(builder, x, y, z), _random_bits(builder, key, number))


@intrinsic
def fma_update(typingctx, ar, a, b, c, key, first):
    """a*b + c for weights about to be stored: as fma, or rounded to the storage format at random.

    Stochastic rounding takes the float32 FMA's result, and goes away from zero with the chance that its distance from
    the stored neighbour nearer to zero gives, to 13 bits (16 for bfloat16, 17 below half's normal numbers). The random
    bits depend on nothing but key and the weight's number; lane k is weight first + k.
    """

    def codegen(context, builder, signature, args):
        return update_code(signature.args[0], builder, *args[1:])

    return a(ar, a, b, c, types.int64, types.int64), codegen


def _spread(builder, scalar):
    """The low 32 bits of an integer, sixteen times."""
    kind = ir.VectorType(I32, LANES)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), builder.trunc(scalar, I32), ir.Constant(I32, 0))
    return builder.shuffle_vector(first, first, ir.Constant(kind, [0] * LANES))


def _random_bits(builder, key, number):
    """32 bits a lane: an integer hash (Wellons' lowbias32), the key's upper half added between its two rounds."""
    kind = ir.VectorType(I32, LANES)

    def word(value: int):
        return ir.Constant(kind, [ir.Constant(I32, value)] * LANES)

    lanes = ir.Constant(kind, [ir.Constant(I32, k) for k in range(LANES)])
    x = builder.add(builder.add(_spread(builder, number), lanes), _spread(builder, key))
    x = builder.mul(builder.xor(x, builder.lshr(x, word(16))), word(0x7FEB352D))
    x = builder.xor(x, builder.lshr(x, word(15)))
    x = builder.add(x, _spread(builder, builder.lshr(key, ir.Constant(I64, 32))))
    x = builder.mul(x, word(0x846CA68B))
    return builder.xor(x, builder.lshr(x, word(16)))


def _store_at_random(kind: ArithmeticType, builder, x, random):
    """float32 to a value of the storage format, towards zero after adding random bits below its last place."""
    integer = like(x.type, I32)

    def word(value: int):
        return constant(x.type, I32, ir.Constant(I32, value))

    bits = builder.bitcast(x, integer)
    spare = 0xFFFF if kind.numerics == "bf16-fp32acc" else 0x1FFF
    dithered = builder.add(bits, builder.and_(random, word(spare)))
    rounded = builder.bitcast(builder.and_(dithered, word(~spare & 0xFFFFFFFF)), x.type)
    if kind.numerics == "bf16-fp32acc":
        return rounded
    sign, size = (builder.and_(bits, word(0x80000000)), builder.and_(bits, word(0x7FFFFFFF)))
    tiny = builder.icmp_unsigned("<", size, word(0x38800000))  # 2^-14: below it the last place is 2^-24 throughout
    fixed = builder.select(tiny, builder.bitcast(size, x.type), constant(x.type, FLOAT, 0.0))
    units = builder.fptosi(builder.fmul(fixed, constant(x.type, FLOAT, 2.0**41)), integer)
    units = builder.lshr(builder.add(units, builder.and_(random, word(0x1FFFF))), word(17))
    small = builder.fmul(builder.sitofp(units, x.type), constant(x.type, FLOAT, 2.0**-24))
    small = builder.bitcast(builder.or_(builder.bitcast(small, integer), sign), x.type)
    return builder.select(tiny, small, round_to_half(builder, rounded))
