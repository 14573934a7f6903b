"""The Pareto front, exactly, for any number of objectives.

A point is on the front unless another one is at least as good in every objective and better in one. So of points that
are equal in all objectives either all are on it or none: ties are kept.
"""

# pyright: reportUntypedFunctionDecorator=false
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def pareto_front(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of values, (points, objectives), all to be minimised, are on the front. A NaN keeps a point off it."""
    on_front = np.zeros(len(values), np.bool_)
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    if known.size and values.shape[1]:
        # In lexicographic order only an earlier point can dominate a later one.
        order = known[np.lexsort(values[known].T[::-1])]
        on_front[order] = _front_in_order(np.ascontiguousarray(values[order]))
    return on_front


@njit
def _front_in_order(values: Any) -> Any:
    points, objectives = values.shape
    on_front = np.zeros(points, np.bool_)
    front = np.empty(points, np.int64)
    size = 0
    for point in range(points):
        dominated = False
        for place in range(size):
            other = front[place]
            no_worse, better = True, False
            for k in range(objectives):
                if values[other, k] > values[point, k]:
                    no_worse = False
                    break
                if values[other, k] < values[point, k]:
                    better = True
            if no_worse and better:
                dominated = True
                break
        if not dominated:
            on_front[point] = True
            front[size] = point
            size += 1
    return on_front
