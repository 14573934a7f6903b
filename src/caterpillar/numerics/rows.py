"""Several rows of a matrix at a time: the primitives of vector.py on tuples that hold one value a row.

Compiled code for one number of rows serves that number only: a tuple's length is part of its type.
"""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from caterpillar.numerics.arithmetic_type import I16, I32, I64, LANES
from caterpillar.numerics.codegen import address, call
from caterpillar.numerics.stochastic import update_code
from caterpillar.numerics.sums import tree_sums_code
from caterpillar.numerics.vector import fma_code, load_code, rounded_code, splat_code, store_code, stored_code

CACHE_LINE = 64  # bytes


def _values(builder, pack) -> list[ir.Value]:
    return [builder.extract_value(pack, k) for k in range(pack.type.count)]


@intrinsic
def rows_at_once(typingctx, ar):
    """How many rows a kernel takes at a time: their sums and factors must fit into the registers."""

    def codegen(context, builder, signature, args):
        return ir.Constant(context.get_value_type(types.intp), signature.args[0].rows)

    return types.intp(ar), codegen


@intrinsic
def nonzero(typingctx, ar, array, index):
    """Bit k of the result: whether array[index + k] is not zero; sixteen of them."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(signature.args[0].llvm, LANES)
        value = builder.load(address(context, builder, signature.args[1], args[1], args[2], vector))
        value.align = signature.args[1].dtype.bitwidth // 8
        marks = builder.fcmp_unordered("!=", value, ir.Constant(vector, [0.0] * LANES))
        return builder.zext(builder.bitcast(marks, I16), I64)

    return types.int64(ar, array, index), codegen


@intrinsic
def list_marked(typingctx, array, index, first, marks):
    """Write first + k for every bit k of the marks that is set, from array[index] on; the index after the last.

    array must have room for sixteen integers there, of which those after the last are overwritten.
    """

    def codegen(context, builder, signature, args):
        numbers = ir.VectorType(I32, LANES)
        lanes = ir.Constant(numbers, [ir.Constant(I32, k) for k in range(LANES)])
        rows = builder.add(splat_code(builder, builder.trunc(args[2], I32)), lanes)
        bits = builder.trunc(args[3], I16)
        chosen = builder.bitcast(bits, ir.VectorType(ir.IntType(1), LANES))
        nothing = ir.Constant(numbers, ir.Undefined)
        listed = call(builder, f"llvm.experimental.vector.compress.v{LANES}i32", numbers, rows, chosen, nothing)
        wide = ir.VectorType(I64, LANES)
        pointer = address(context, builder, signature.args[0], args[0], args[1], wide)
        builder.store(builder.zext(listed, wide), pointer).align = 8
        return builder.add(args[1], builder.zext(builder.ctpop(bits), I64))

    return types.int64(array, types.int64, types.int64, types.int64), codegen


@intrinsic
def several(typingctx, ar, array, index):
    """array[index : index + rows_at_once] as a tuple."""

    def codegen(context, builder, signature, args):
        array_type, element = signature.args[1], context.get_value_type(signature.args[1].dtype)
        pointers = [
            address(context, builder, array_type, args[1], builder.add(args[2], ir.Constant(args[2].type, k)), element)
            for k in range(signature.args[0].rows)
        ]
        return context.make_tuple(builder, signature.return_type, [builder.load(pointer) for pointer in pointers])

    return types.UniTuple(array.dtype, ar.rows)(ar, array, index), codegen


@intrinsic
def places(typingctx, first, rows, stride):
    """first + i * stride for each of the rows i."""

    def codegen(context, builder, signature, args):
        starts = [builder.add(args[0], builder.mul(i, args[2])) for i in _values(builder, args[1])]
        return context.make_tuple(builder, signature.return_type, starts)

    return rows(types.intp, rows, types.intp), codegen


@intrinsic
def splats(typingctx, ar, array, at):
    """Sixteen times array[k], for each place k of at."""

    def codegen(context, builder, signature, args):
        array_type, scalar = signature.args[1], signature.args[0].llvm
        numbers = [
            builder.load(address(context, builder, array_type, args[1], k, scalar)) for k in _values(builder, args[2])
        ]
        return context.make_tuple(builder, signature.return_type, [splat_code(builder, x) for x in numbers])

    return types.UniTuple(ar.vector, len(at))(ar, array, at), codegen


@intrinsic
def negated_products(typingctx, ar, factor, vectors):
    """-(factor * vector), rounded to the format that products are added in, for each vector; factor: a float."""

    def codegen(context, builder, signature, args):
        factor = splat_code(builder, args[1])
        products = [
            builder.fneg(rounded_code(signature.args[0], builder, "fmul", factor, x)) for x in _values(builder, args[2])
        ]
        return context.make_tuple(builder, signature.return_type, products)

    return vectors(ar, ar.scalar, vectors), codegen


@intrinsic
def no_sums(typingctx, ar, rows):
    """Sixteen times +0 for each of the rows."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(ir.VectorType(signature.args[0].llvm, LANES), [0.0] * LANES)
        return context.make_tuple(builder, signature.return_type, [zero] * len(signature.return_type))

    return types.UniTuple(ar.vector, len(rows))(ar, rows), codegen


@intrinsic
def load_rows(typingctx, ar, array, starts, j):
    """array[p + j : p + j + 16] of the storage format, for each start p."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        loaded = [
            load_code(kind, context, builder, array_type, args[1], builder.add(p, args[3]))
            for p in _values(builder, args[2])
        ]
        return context.make_tuple(builder, signature.return_type, loaded)

    return types.UniTuple(ar.vector, len(starts))(ar, array, starts, types.intp), codegen


@intrinsic
def store_rows(typingctx, ar, array, starts, j, vectors):
    """array[p + j : p + j + 16] = vector, rounded to the storage format, for each start p and its vector."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        for p, vector in zip(_values(builder, args[2]), _values(builder, args[4]), strict=True):
            store_code(kind, context, builder, array_type, args[1], builder.add(p, args[3]), vector)
        return context.get_dummy_value()

    return types.void(ar, array, starts, types.intp, vectors), codegen


@intrinsic
def fma_rows(typingctx, ar, factor, vectors, sums):
    """factor * vector + sum, for each vector and its sum."""

    def codegen(context, builder, signature, args):
        pairs = zip(_values(builder, args[2]), _values(builder, args[3]), strict=True)
        added = [fma_code(signature.args[0], builder, args[1], x, total) for x, total in pairs]
        return context.make_tuple(builder, signature.return_type, added)

    return sums(ar, factor, vectors, sums), codegen


@intrinsic
def fma_update_rows(typingctx, ar, factors, vector, weights, key, numbers, j):
    """factor * vector + weight as fma_update, for each factor and its weights; the first has number n + j."""

    def codegen(context, builder, signature, args):
        _, factors, vector, weights, key, numbers, j = args
        rows = zip(_values(builder, factors), _values(builder, weights), _values(builder, numbers), strict=True)
        updated = [update_code(signature.args[0], builder, u, vector, w, key, builder.add(n, j)) for u, w, n in rows]
        return context.make_tuple(builder, signature.return_type, updated)

    return weights(ar, factors, vector, weights, types.int64, numbers, types.intp), codegen


@intrinsic
def update_and_go_down(typingctx, ar, array, starts, j, factors, vector, key, numbers, next_factors, total):
    """The weights at p + j as fma_update_rows makes them, stored; then total <- next factor * weights + total.

    Row after row, for the weights of all rows would not fit into the registers beside two factors and a sum each.
    """

    def codegen(context, builder, signature, args):
        kind, array_type, array, j, vector, key = *signature.args[:2], args[1], args[3], args[5], args[6]
        starts, factors, numbers, next_factors = (_values(builder, args[k]) for k in (2, 4, 7, 8))
        total = args[9]
        for p, u, n, factor in zip(starts, factors, numbers, next_factors, strict=True):
            at = builder.add(p, j)
            weights = load_code(kind, context, builder, array_type, array, at)
            weights = update_code(kind, builder, u, vector, weights, key, builder.add(n, j))
            store_code(kind, context, builder, array_type, array, at, weights)
            total = fma_code(kind, builder, factor, stored_code(kind, builder, weights), total)
        return total

    signature = total(ar, array, starts, types.intp, factors, vector, types.int64, numbers, next_factors, total)
    return signature, codegen


@intrinsic
def fma_down(typingctx, ar, factors, vectors, total):
    """total <- factor * vector + total for the rows in turn."""

    def codegen(context, builder, signature, args):
        total = args[3]
        for factor, vector in zip(_values(builder, args[1]), _values(builder, args[2]), strict=True):
            total = fma_code(signature.args[0], builder, factor, vector, total)
        return total

    return total(ar, factors, vectors, total), codegen


@intrinsic(prefer_literal=True)
def load_columns(typingctx, ar, array, index, times):
    """array[index : index + 16 * times * rows_at_once] of floats, as a tuple of vectors; times: a constant."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(signature.args[0].llvm, LANES)
        pointers = _side_by_side(context, builder, signature, args, vector, len(signature.return_type))
        loaded = [builder.load(pointer) for pointer in pointers]
        for value in loaded:
            value.align = signature.args[1].dtype.bitwidth // 8
        return context.make_tuple(builder, signature.return_type, loaded)

    return types.UniTuple(ar.vector, times.literal_value * ar.rows)(ar, array, index, times), codegen


@intrinsic
def store_columns(typingctx, ar, array, index, vectors):
    """array[index : index + 16 * len(vectors)] = a tuple of vectors, for an array of floats."""

    def codegen(context, builder, signature, args):
        values = _values(builder, args[3])
        pointers = _side_by_side(context, builder, signature, args, values[0].type, len(values))
        for pointer, value in zip(pointers, values, strict=True):
            builder.store(value, pointer).align = signature.args[1].dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(ar, array, index, vectors), codegen


def _side_by_side(context, builder, signature, args, vector: ir.Type, count: int) -> list[ir.Value]:
    places = [builder.add(args[2], ir.Constant(args[2].type, k * LANES)) for k in range(count)]
    return [address(context, builder, signature.args[1], args[1], at, vector) for at in places]


@intrinsic
def fma_down_columns(typingctx, ar, factors, array, starts, j, sums):
    """fma_down of array[p + j : p + j + 16] for the first of the sums, of the next sixteen columns for the next, ...

    Sums that do not wait for each other stand side by side in the code, so the processor finds them in time.
    """

    def codegen(context, builder, signature, args):
        kind, _, array_type = signature.args[:3]
        sums = _values(builder, args[5])
        for factor, p in zip(_values(builder, args[1]), _values(builder, args[3]), strict=True):
            for k, total in enumerate(sums):
                at = builder.add(builder.add(p, args[4]), ir.Constant(args[4].type, k * LANES))
                sums[k] = fma_code(
                    kind, builder, factor, load_code(kind, context, builder, array_type, args[2], at), total
                )
        return context.make_tuple(builder, signature.return_type, sums)

    return sums(ar, factors, array, starts, types.intp, sums), codegen


@intrinsic
def store_tree_sums(typingctx, ar, array, at, vectors):
    """array[k] = tree_sum(vector) for each place k and its vector, a power of two of them."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        sums = tree_sums_code(kind, builder, _values(builder, args[3]))
        for lane, k in enumerate(_values(builder, args[2])):
            pointer = address(context, builder, array_type, args[1], k, sums.type.element)
            builder.store(builder.extract_element(sums, ir.Constant(I32, lane)), pointer)
        return context.get_dummy_value()

    return types.void(ar, array, at, vectors), codegen


@intrinsic
def prefetch(typingctx, array, index, like):
    """Fetch array[index : index + 16 * rows] into the second-level cache; rows: as many as like is long."""

    def codegen(context, builder, signature, args):
        array_type, rows = signature.args[0], len(signature.args[2])
        byte = ir.IntType(8)
        first = address(context, builder, array_type, args[0], args[1], byte)
        for line in range(0, rows * LANES * array_type.dtype.bitwidth // 8, CACHE_LINE):
            pointer = builder.gep(first, [ir.Constant(I32, line)], source_etype=byte)
            to_read, second_level, data = (ir.Constant(I32, number) for number in (0, 2, 1))
            call(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, to_read, second_level, data)
        return context.get_dummy_value()

    return types.void(array, types.intp, like), codegen
