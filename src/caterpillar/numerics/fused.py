"""The fused multiply-add of every number format, on NumPy arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from caterpillar.checks import SpecError
from caterpillar.numerics.arithmetic import NUMERICS, Array, Numerics, from_storage, storage_dtype, sum_dtype


def fma(a: ArrayLike, b: ArrayLike, c: ArrayLike, numerics: Numerics = "fp16") -> Array:
    """a * b + c with one rounding, element by element, with NumPy's broadcasting.

    a and b are arrays of the storage format (float16 for fp16; bfloat16 as its bits in uint16), c of the format that
    products are added in, which is also the result's: float16 for fp16, float32 with float32 accumulation.

        >>> a, c = np.float16(1.001), np.float16(-1.002)
        >>> fma(a, a, c), a * a + c
        (array(9.5e-07, dtype=float16), np.float16(0.0))

    Raises SpecError for another format, for arrays of another one, and for shapes that do not broadcast.
    """
    from caterpillar.numerics import elementwise  # compiled: slow to import

    if numerics not in NUMERICS:
        raise SpecError(f"numerics must be one of {', '.join(NUMERICS)}, got {numerics!r}")
    factors, addend = [np.asarray(a), np.asarray(b)], np.asarray(c)
    for name, array, wanted in zip("abc", (*factors, addend), _formats(numerics), strict=True):
        if array.dtype != wanted:
            raise SpecError(f"{name} must be an array of {wanted} for {numerics}, got {array.dtype}")
    try:
        np.broadcast_shapes(*(array.shape for array in (*factors, addend)))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in (*factors, addend))
        raise SpecError(f"a, b and c must have shapes that broadcast, got {shapes}") from None
    x, y = (from_storage(factor, numerics) for factor in factors)
    return elementwise.fma(x, y, addend, numerics)


def _formats(numerics: Numerics) -> tuple[np.dtype[np.generic], ...]:
    return (storage_dtype(numerics), storage_dtype(numerics), sum_dtype(numerics))
