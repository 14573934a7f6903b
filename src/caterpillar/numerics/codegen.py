"""Helpers of the code generators: LLVM types and constants for one number or for sixteen."""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from llvmlite import ir
from numba import types

from caterpillar.numerics.arithmetic_type import HALF, LANES, ArithmeticType


def address(context, builder, array_type, array, index, llvm_type):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), llvm_type.as_pointer())


def like(value_type: ir.Type, element: ir.Type) -> ir.Type:
    """element, or a vector of it if value_type is a vector."""
    return ir.VectorType(element, LANES) if isinstance(value_type, ir.VectorType) else element


def constant(value_type: ir.Type, element: ir.Type, number: float) -> ir.Constant:
    kind = like(value_type, element)
    return ir.Constant(kind, [number] * LANES if isinstance(value_type, ir.VectorType) else number)


def call(builder, name: str, result: ir.Type, *args):
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def round_to_half(builder, x):
    """float32 to the nearest half, held in float32 again."""
    return builder.fpext(builder.fptrunc(x, like(x.type, HALF)), x.type)


def is_number(ar: ArithmeticType, *kinds: types.Type) -> bool:
    return all(kind == ar.scalar for kind in kinds) or all(kind == ar.vector for kind in kinds)
