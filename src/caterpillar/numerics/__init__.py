"""Arithmetic: the machine's number formats, its rounding, and the order of its sums."""

from caterpillar.numerics.arithmetic import (
    NUMERICS,
    Array,
    Numerics,
    from_storage,
    storage_dtype,
    sum_dtype,
    to_storage,
    wide_dtype,
)
from caterpillar.numerics.fused import fma
from caterpillar.numerics.order import Combine, GemvOrder, Order, Visits

__all__ = [
    "NUMERICS",
    "Array",
    "Combine",
    "GemvOrder",
    "Numerics",
    "Order",
    "Visits",
    "fma",
    "from_storage",
    "storage_dtype",
    "sum_dtype",
    "to_storage",
    "wide_dtype",
]
