"""Operations that take numbers, or NumPy arrays element by element, so that one formula serves one machine or many.

A number stays a number: NumPy is loaded only where arrays come in.
"""

from __future__ import annotations

from typing import Any


def larger(a: Any, b: Any) -> Any:
    """The larger of two."""
    if isinstance(a, int | float) and isinstance(b, int | float):
        return max(a, b)
    import numpy as np

    return np.maximum(a, b)


def ceil_log2(n: Any) -> Any:
    """The least k with 2^k >= n, for whole n from 1."""
    if isinstance(n, int):
        return (n - 1).bit_length()
    import numpy as np

    return np.ceil(np.log2(n))
