"""Sixteen numbers at a time in any of our number formats: the primitives that Numba kernels are written in.

Every function takes an Arithmetic first. Its type picks the code when a kernel is compiled, so one kernel serves all
formats. Values are floats or vectors of sixteen: float32, or float64 for fp64; in fp16 they hold half values.
"""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

import hashlib
from pathlib import Path

from llvmlite import binding, ir
from numba import types
from numba.core.datamodel import models
from numba.extending import NativeValue, intrinsic, register_model, typeof_impl, unbox

from caterpillar.numerics.arithmetic import Numerics

LANES = 16
I1, I16, I32 = ir.IntType(1), ir.IntType(16), ir.IntType(32)
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
ROUND_DOWN, ROUND_UP = 9, 10  # x86 embedded rounding, exceptions suppressed


def sources_digest(*folders: Path) -> str:
    """Changes when any source changes. Numba's cache looks only at the file of the cached function itself."""
    files = sorted(path for folder in folders for path in folder.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def has_avx512() -> bool:
    """Whether this processor has the AVX-512 instructions that the fast exact half FMA needs."""
    return bool(binding.get_host_cpu_features().get("avx512f", False))


class Arithmetic:
    """Which format a kernel computes in: a value without content; Numba compiles by its type.

    digest: of the sources that the kernel is made of, so that no stale compiled code is ever taken from a cache.
    avx512: None looks at the processor. Results are the same either way.
    """

    def __init__(self, numerics: Numerics, digest: str, *, avx512: bool | None = None) -> None:
        self.numerics: Numerics = numerics
        self.digest = digest
        self.avx512 = numerics == "fp16" and (has_avx512() if avx512 is None else avx512)


class ArithmeticType(types.Type):
    """The Numba type of an Arithmetic."""

    def __init__(self, numerics: str, avx512: bool, digest: str) -> None:
        super().__init__(name=f"Arithmetic({numerics}, avx512={avx512}, {digest})")
        self.numerics = numerics
        self.avx512 = avx512

    @property
    def scalar(self) -> types.Float:
        return types.float64 if self.numerics == "fp64" else types.float32

    @property
    def llvm(self) -> ir.Type:
        return DOUBLE if self.numerics == "fp64" else FLOAT

    @property
    def vector(self) -> VectorType:
        return VectorType(self.numerics == "fp64")


class VectorType(types.Type):
    """Sixteen float32 or float64."""

    def __init__(self, double: bool) -> None:
        super().__init__(name=f"Vector16({'float64' if double else 'float32'})")
        self.double = double


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """An LLVM vector, kept in registers."""

    def __init__(self, dmm: object, fe_type: VectorType) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(DOUBLE if fe_type.double else FLOAT, LANES))


register_model(ArithmeticType)(models.OpaqueModel)


@typeof_impl.register(Arithmetic)
def _typeof(value: Arithmetic, _context: object) -> ArithmeticType:
    return ArithmeticType(value.numerics, value.avx512, value.digest)


@unbox(ArithmeticType)
def _unbox(_type: object, _value: object, c) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


def _pointer(context, builder, array_type, array, index, llvm_type):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), llvm_type.as_pointer())


def _like(value_type: ir.Type, element: ir.Type) -> ir.Type:
    """element, or a vector of it if value_type is a vector."""
    return ir.VectorType(element, LANES) if isinstance(value_type, ir.VectorType) else element


def _constant(value_type: ir.Type, element: ir.Type, number: float) -> ir.Constant:
    kind = _like(value_type, element)
    return ir.Constant(kind, [number] * LANES if isinstance(value_type, ir.VectorType) else number)


def _call(builder, name: str, result: ir.Type, *args):
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _round_to_half(builder, x):
    """float32 to the nearest half, held in float32 again."""
    return builder.fpext(builder.fptrunc(x, _like(x.type, HALF)), x.type)


def _fused(builder, a, b, c):
    """llvm.fma: one rounding, to the operands' own type."""
    element = a.type.element if isinstance(a.type, ir.VectorType) else a.type
    lanes = f"v{LANES}" if isinstance(a.type, ir.VectorType) else ""
    return _call(builder, f"llvm.fma.{lanes}f{64 if element == DOUBLE else 32}", a.type, a, b, c)


def _fused_odd(builder, a, b, c):
    """a*b + c rounded to odd in float32, portable: the error of the sum says which neighbour is the odd one.

    The product of two halves is exact in float32, and Knuth's TwoSum gives the sum's error exactly.
    """
    integer = _like(a.type, I32)
    p = builder.fmul(a, b)
    s = builder.fadd(p, c)
    t = builder.fsub(s, p)
    error = builder.fadd(builder.fsub(p, builder.fsub(s, t)), builder.fsub(c, t))
    bits, error_bits = builder.bitcast(s, integer), builder.bitcast(error, integer)
    one, zero = _constant(a.type, I32, 1), _constant(a.type, I32, 0)
    away = builder.ashr(builder.xor(bits, error_bits), _constant(a.type, I32, 31))  # -1: the error points to zero
    odd = builder.add(bits, builder.or_(away, one))
    inexact = builder.fcmp_ordered("!=", error, _constant(a.type, FLOAT, 0.0))  # false for a NaN
    even = builder.icmp_signed("==", builder.and_(bits, one), zero)
    return builder.bitcast(builder.select(builder.and_(inexact, even), odd, bits), a.type)


def _fused_odd_avx512(builder, a, b, c):
    """The same from two FMAs, rounded down and up: between them lies an odd one, unless the result is exact."""
    integer = _like(a.type, I32)
    name = "llvm.x86.avx512.vfmadd.ps.512"
    down = builder.bitcast(_call(builder, name, a.type, a, b, c, ir.Constant(I32, ROUND_DOWN)), integer)
    up = builder.bitcast(_call(builder, name, a.type, a, b, c, ir.Constant(I32, ROUND_UP)), integer)
    nearer_zero = builder.select(builder.icmp_unsigned("<", down, up), down, up)
    odd = builder.and_(builder.or_(down, up), _constant(a.type, I32, 1))
    return builder.bitcast(builder.or_(nearer_zero, odd), a.type)


def _is_number(ar: ArithmeticType, *kinds: types.Type) -> bool:
    return all(kind == ar.scalar for kind in kinds) or all(kind == ar.vector for kind in kinds)


@intrinsic
def fma(typingctx, ar, a, b, c):
    """a*b + c, one rounding, to the format that products are added in."""
    if not _is_number(ar, a, b, c):
        return None

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        _, x, y, z = args
        if kind.numerics != "fp16":
            return _fused(builder, x, y, z)
        vectors = isinstance(x.type, ir.VectorType)
        fused_odd = _fused_odd_avx512 if vectors and kind.avx512 else _fused_odd
        return _round_to_half(builder, fused_odd(builder, x, y, z))

    return a(ar, a, b, c), codegen


def _rounded(operation: str):
    """a (operation) b, rounded once to the format that products are added in.

    In fp16: float32's rounding and then half's is the same as half's alone, since 24 >= 2 * 11 + 2 bits
    (Figueroa 1995), and sums that are subnormal halves are exact.
    """

    def define(typingctx, ar, a, b):
        if not _is_number(ar, a, b):
            return None

        def codegen(context, builder, signature, args):
            result = getattr(builder, operation)(args[1], args[2])
            return _round_to_half(builder, result) if signature.args[0].numerics == "fp16" else result

        return a(ar, a, b), codegen

    return define


add = intrinsic(_rounded("fadd"))
mul = intrinsic(_rounded("fmul"))
div = intrinsic(_rounded("fdiv"))


def _to_bfloat(builder, x):
    """float32 to bfloat16's bits, to nearest even; a NaN stays one."""
    integer = _like(x.type, I32)
    bits = builder.bitcast(x, integer)
    shift = _constant(x.type, I32, 16)
    lowest = builder.and_(builder.lshr(bits, shift), _constant(x.type, I32, 1))
    rounded = builder.lshr(builder.add(bits, builder.add(lowest, _constant(x.type, I32, 0x7FFF))), shift)
    nan = builder.fcmp_unordered("uno", x, x)
    return builder.trunc(builder.select(nan, _constant(x.type, I32, 0x7FC0), rounded), _like(x.type, I16))


def _from_bfloat(builder, bits, wide):
    integer = _like(wide, I32)
    return builder.bitcast(builder.shl(builder.zext(bits, integer), _constant(wide, I32, 16)), wide)


def _stored_type(kind: ArithmeticType) -> ir.Type:
    narrow = {"fp16": HALF, "fp16-fp32acc": HALF, "bf16-fp32acc": I16}
    return narrow.get(kind.numerics, kind.llvm)


def _widen(kind: ArithmeticType, builder, stored):
    wide = _like(stored.type, kind.llvm)
    if kind.numerics == "bf16-fp32acc":
        return _from_bfloat(builder, stored, wide)
    return builder.fpext(stored, wide) if stored.type != wide else stored


def _narrow(kind: ArithmeticType, builder, x):
    stored = _like(x.type, _stored_type(kind))
    if kind.numerics == "bf16-fp32acc":
        return _to_bfloat(builder, x)
    return builder.fptrunc(x, stored) if x.type != stored else x


@intrinsic
def stored(typingctx, ar, x):
    """x as it would be read back after it was stored."""
    if not _is_number(ar, x):
        return None

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        return _widen(kind, builder, _narrow(kind, builder, args[1]))

    return x(ar, x), codegen


@intrinsic
def load_weights(typingctx, ar, array, index):
    """array[index : index + 16] of the storage format, as a vector."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        element = _stored_type(kind)
        vector = ir.VectorType(element, LANES)
        value = builder.load(_pointer(context, builder, array_type, args[1], args[2], vector))
        value.align = array_type.dtype.bitwidth // 8
        return _widen(kind, builder, value)

    return ar.vector(ar, array, index), codegen


@intrinsic
def store_weights(typingctx, ar, array, index, vector):
    """array[index : index + 16] = vector, rounded to the storage format."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        value = _narrow(kind, builder, args[3])
        pointer = _pointer(context, builder, array_type, args[1], args[2], value.type)
        builder.store(value, pointer).align = array_type.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(ar, array, index, vector), codegen


@intrinsic
def load_weight(typingctx, ar, array, index):
    """array[index] of the storage format, as a float."""

    def codegen(context, builder, signature, args):
        kind, array_type = signature.args[:2]
        element = _stored_type(kind)
        return _widen(kind, builder, builder.load(_pointer(context, builder, array_type, args[1], args[2], element)))

    return ar.scalar(ar, array, index), codegen


@intrinsic
def item(typingctx, array, index):
    """array[index] for an index that is not negative: Python's array[-1] costs four instructions."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        element = context.get_value_type(array_type.dtype)
        return builder.load(_pointer(context, builder, array_type, args[0], args[1], element))

    return array.dtype(array, index), codegen


@intrinsic
def load(typingctx, ar, array, index):
    """array[index : index + 16] of floats."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[1]
        vector = ir.VectorType(signature.args[0].llvm, LANES)
        value = builder.load(_pointer(context, builder, array_type, args[1], args[2], vector))
        value.align = array_type.dtype.bitwidth // 8
        return value

    return ar.vector(ar, array, index), codegen


@intrinsic
def store(typingctx, ar, array, index, vector):
    """array[index : index + 16] = vector, for an array of floats."""

    def codegen(context, builder, signature, args):
        array_type = signature.args[1]
        pointer = _pointer(context, builder, array_type, args[1], args[2], args[3].type)
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


@intrinsic
def splat(typingctx, ar, x):
    """Sixteen times x."""

    def codegen(context, builder, signature, args):
        first = ir.Constant(ir.VectorType(args[1].type, LANES), ir.Undefined)
        first = builder.insert_element(first, args[1], ir.Constant(I32, 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))

    return ar.vector(ar, ar.scalar), codegen


@intrinsic
def zeros(typingctx, ar):
    """Sixteen times +0."""

    def codegen(context, builder, signature, args):
        return ir.Constant(ir.VectorType(signature.args[0].llvm, LANES), [0.0] * LANES)

    return ar.vector(ar), codegen


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
    return _round_to_half(builder, total) if kind.numerics == "fp16" else total


def _tree_sums(kind: ArithmeticType, builder, vectors: list[ir.Value]):
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
        return builder.extract_element(_tree_sums(signature.args[0], builder, [args[1]]), ir.Constant(I32, 0))

    return ar.scalar(ar, vector), codegen


@intrinsic
def store_tree_sums(typingctx, ar, array, a0, a1, a2, a3, v0, v1, v2, v3):
    """array[a0] = tree_sum(v0), ... array[a3] = tree_sum(v3), for less than four times the work."""

    def codegen(context, builder, signature, args):
        sums = _tree_sums(signature.args[0], builder, list(args[6:]))
        for k in range(4):
            pointer = _pointer(context, builder, signature.args[1], args[1], args[2 + k], sums.type.element)
            builder.store(builder.extract_element(sums, ir.Constant(I32, k)), pointer)
        return context.get_dummy_value()

    return types.void(ar, array, a0, a1, a2, a3, v0, v1, v2, v3), codegen


@intrinsic
def store_tree_sums_by_four(typingctx, ar, array, places, vectors):
    """array[places[s] + k] = tree_sum(vectors[4 s + k]) for s, k in 0 .. 3; tuples of four places, sixteen vectors."""

    def codegen(context, builder, signature, args):
        sums = _tree_sums(signature.args[0], builder, [builder.extract_value(args[3], k) for k in range(LANES)])
        for s in range(4):
            mask = ir.Constant(ir.VectorType(I32, 4), [ir.Constant(I32, 4 * s + k) for k in range(4)])
            four = builder.shuffle_vector(sums, sums, mask)
            place = builder.extract_value(args[2], s)
            pointer = _pointer(context, builder, signature.args[1], args[1], place, four.type)
            builder.store(four, pointer).align = signature.args[1].dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(ar, array, places, vectors), codegen


@intrinsic
def number(typingctx, ar, x):
    """A float64 constant in the format that products are added in."""

    def codegen(context, builder, signature, args):
        kind = signature.args[0]
        value = args[1] if kind.numerics == "fp64" else builder.fptrunc(args[1], FLOAT)
        return _round_to_half(builder, value) if kind.numerics == "fp16" else value

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
        value = builder.bitcast(args[1], ir.IntType(64) if double else I32)
        return value if double else builder.zext(value, ir.IntType(64))

    return types.int64(ar, x), codegen


@intrinsic
def power_of_two(typingctx, ar, exponent):
    """2 ** exponent, exact, for exponents of normal numbers."""

    def codegen(context, builder, signature, args):
        i64 = ir.IntType(64)
        if signature.args[0].numerics == "fp64":
            biased = builder.add(args[1], ir.Constant(i64, 1023))
            return builder.bitcast(builder.shl(biased, ir.Constant(i64, 52)), DOUBLE)
        biased = builder.trunc(builder.add(args[1], ir.Constant(i64, 127)), I32)
        return builder.bitcast(builder.shl(biased, ir.Constant(I32, 23)), FLOAT)

    return ar.scalar(ar, types.int64), codegen


@intrinsic
def keep_apart(typingctx):
    """The function that calls this stays a function: it is compiled once, not into every caller."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen
