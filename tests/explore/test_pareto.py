"""The front is the brute force's, whatever the objectives, ties and NaNs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.explore import pareto_front

NUMBERS = st.one_of(st.integers(0, 3).map(float), st.floats(-5, 5), st.just(float("nan")), st.just(float("inf")))


def brute_force(rows: list[list[float]]) -> list[bool]:
    def dominates(a: list[float], b: list[float]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))

    known = [not any(value != value for value in row) for row in rows]
    return [
        known[i] and not any(known[j] and dominates(other, row) for j, other in enumerate(rows))
        for i, row in enumerate(rows)
    ]


@settings(max_examples=300)
@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), max_size=30)))
def test_front_is_the_brute_forces(rows: list[list[float]]) -> None:
    values = np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 2)
    assert pareto_front(values).tolist() == brute_force(rows)


def test_equal_points_stay_together() -> None:
    values = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 2.0]])
    assert pareto_front(values).tolist() == [True, True, True, False, False]
