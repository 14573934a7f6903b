"""Values of an axis: one, a list, or a range."""

from __future__ import annotations

from typing import Any, cast

from caterpillar.checks import SpecError
from caterpillar.explore.sweep import refuse_unknown

MOST_VALUES = 1_000_000
RANGE_KEYS = ["from", "to", "step", "times"]


def values_of(words: Any, where: str) -> tuple[Any, ...]:
    """The values that the words stand for, each once. Raises SpecError for none, for a range without end, a twin."""
    if isinstance(words, dict):
        values = _range(cast("dict[str, Any]", words), where)
    elif isinstance(words, list | tuple):
        values = tuple(cast("list[Any]", words))
    else:
        values = (words,)
    if not values:
        raise SpecError(f"{where} has no values")
    twins = [value for place, value in enumerate(values[:1000]) if value in values[:place]]
    if twins:
        raise SpecError(f"{where} has {twins[0]!r} twice")
    return values


def _range(words: dict[str, Any], where: str) -> tuple[int | float, ...]:
    refuse_unknown(words, RANGE_KEYS, where)
    missing = [key for key in ("from", "to") if key not in words]
    if missing or ("step" in words) == ("times" in words):
        raise SpecError(f"{where}: a range has from, to, and either step or times; got {words!r}")
    for key, value in words.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
            raise SpecError(f"{where}.{key} must be a number, got {value!r}")
    first, last = words["from"], words["to"]
    by, least = (words["step"], 0) if "step" in words else (words["times"], 1)
    if not by > least or ("times" in words and first <= 0):
        raise SpecError(f"{where}: step must be above 0; times above 1, and from above 0 with it; got {words!r}")
    if first > last:
        raise SpecError(f"{where}: the range is empty, from {first!r} is above to {last!r}")
    values: list[int | float] = []
    while len(values) <= MOST_VALUES:
        value = first + len(values) * by if "step" in words else first * by ** len(values)
        if value > last * (1 + 1e-12):
            return tuple(values)
        values.append(value)
    raise SpecError(f"{where}: the range has more than {MOST_VALUES:,} values")
