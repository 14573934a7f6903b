"""Sums across a vector, by halving: sixteen partial sums become one."""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from caterpillar.numerics.arithmetic_type import I32, LANES, ArithmeticType
from caterpillar.numerics.codegen import address, round_to_half


def _halve(kind: ArithmeticType, builder, x, y, group: int):
    """Of each group of lanes in x and then in y: lane k plus lane k + group/2."""
    lanes = range(2 * LANES if y is not None else LANES)
    low = [k for k in lanes if k % group < group // 2]
    second = ir.Constant(x.type, ir.Undefined) if y is None else y
    parts: list[ir.Value] = []
    for picked in (low, [k + group // 2 for k in low]):
        picked = picked + [0] * (LANES - len(picked))
        mask = ir.Constant(ir.VectorType(I32, LANES), [ir.Constant(I32, k) for k in picked])
        parts.append(builder.shuffle_vector(x, second, mask))
    total = builder.fadd(*parts)
    return round_to_half(builder, total) if kind.numerics == "fp16" else total


def tree_sums_code(kind: ArithmeticType, builder, vectors: list[ir.Value]):
    """A vector that begins with the tree sums of the vectors (a power of two of them), in order."""
    group = LANES
    while group > 1:
        if len(vectors) > 1:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [_halve(kind, builder, x, y, group) for x, y in pairs]
        else:
            vectors = [_halve(kind, builder, vectors[0], None, group)]
        group //= 2
    return vectors[0]


@intrinsic
def tree_sum(typingctx, ar, vector):
    """The sum of sixteen by halving: number k adds number k + 8, then k + 4, k + 2, k + 1; each sum is rounded."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(tree_sums_code(signature.args[0], builder, [args[1]]), ir.Constant(I32, 0))

    return ar.scalar(ar, vector), codegen


@intrinsic
def store_tree_sums_by_four(typingctx, ar, array, places, vectors):
    """array[places[s] + k] = tree_sum(vectors[4 s + k]) for s, k in 0 .. 3; tuples of four places, sixteen vectors."""

    def codegen(context, builder, signature, args):
        sums = tree_sums_code(signature.args[0], builder, [builder.extract_value(args[3], k) for k in range(LANES)])
        for s in range(4):
            mask = ir.Constant(ir.VectorType(I32, 4), [ir.Constant(I32, 4 * s + k) for k in range(4)])
            four = builder.shuffle_vector(sums, sums, mask)
            place = builder.extract_value(args[2], s)
            pointer = address(context, builder, signature.args[1], args[1], place, four.type)
            builder.store(four, pointer).align = signature.args[1].dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(ar, array, places, vectors), codegen
