"""The number formats a run can be carried out in, and what each one stores.

| numerics      | weights stored in | products are added in | roundings of an FMA     |
| fp32, fp64    | float32, float64  | the same              | one                     |
| fp16          | half              | half                  | one, to half            |
| fp16-fp32acc  | half              | float32               | one, to float32         |
| bf16-fp32acc  | bfloat16          | float32               | one, to float32         |

With float32 accumulation weights, activations and errors are rounded to the storage format when they are stored.
Rounding is to nearest, ties to even; subnormals are kept.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Numerics = Literal["fp32", "fp64", "fp16", "fp16-fp32acc", "bf16-fp32acc"]
NUMERICS: tuple[str, ...] = get_args(Numerics)

Array = NDArray[Any]


def storage_dtype(numerics: Numerics) -> np.dtype[Any]:
    """What weights are stored in; bfloat16, which NumPy lacks, as its bits in uint16."""
    names = {"fp32": "<f4", "fp64": "<f8", "fp16": "<f2", "fp16-fp32acc": "<f2", "bf16-fp32acc": "<u2"}
    return np.dtype(names[numerics])


def wide_dtype(numerics: Numerics) -> np.dtype[Any]:
    """What activations, errors and sums are held in: a type that has every value of the format."""
    return np.dtype(np.float64 if numerics == "fp64" else np.float32)


def sum_dtype(numerics: Numerics) -> np.dtype[Any]:
    """The format that products are added in, and that constants such as the learning rate are rounded to."""
    return np.dtype(np.float16) if numerics == "fp16" else wide_dtype(numerics)


def to_storage(values: Array, numerics: Numerics) -> Array:
    """Float values rounded to the storage format, to nearest, ties to even; bfloat16 as its bits in uint16."""
    if numerics != "bf16-fp32acc":
        with np.errstate(over="ignore"):
            return values.astype(storage_dtype(numerics))
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def from_storage(stored: Array, numerics: Numerics) -> Array:
    """Stored values as floats that hold them exactly (float32; float64 for fp64)."""
    if numerics != "bf16-fp32acc":
        return stored.astype(wide_dtype(numerics))
    return (stored.astype(np.uint32) << 16).view(np.float32)
