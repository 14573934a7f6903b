"""The Numba types of an Arithmetic, which picks the code a kernel is compiled to, and of sixteen numbers."""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnusedFunction=false

from __future__ import annotations

import hashlib
from pathlib import Path

from llvmlite import binding, ir
from numba import types
from numba.core.datamodel import models
from numba.extending import NativeValue, register_model, typeof_impl, unbox

from caterpillar.numerics.arithmetic import Numerics

LANES = 16
I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()


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
    stochastic: round weight updates at random. avx512: None looks at the processor; results are the same either way.
    """

    def __init__(
        self, numerics: Numerics, digest: str, *, stochastic: bool = False, avx512: bool | None = None
    ) -> None:
        self.numerics: Numerics = numerics
        self.digest = digest
        self.stochastic = stochastic
        self.avx512 = has_avx512() if avx512 is None else avx512


class ArithmeticType(types.Type):
    """The Numba type of an Arithmetic."""

    def __init__(self, numerics: str, *, stochastic: bool, avx512: bool, digest: str) -> None:
        super().__init__(name=f"Arithmetic({numerics}, stochastic={stochastic}, avx512={avx512}, {digest})")
        self.numerics = numerics
        self.stochastic = stochastic
        self.avx512 = avx512

    @property
    def rows(self) -> int:
        """How many rows a kernel takes at a time; AVX-512 has 32 registers, which sixteen float32 fill."""
        return 8 if self.avx512 and self.numerics != "fp64" else 4

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
    return ArithmeticType(value.numerics, stochastic=value.stochastic, avx512=value.avx512, digest=value.digest)


@unbox(ArithmeticType)
def _unbox(_type: object, _value: object, c) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())
