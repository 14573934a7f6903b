"""One table per description checks its fields, words the error and drives the tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from caterpillar.checks.errors import SpecError


@dataclass(frozen=True, slots=True)
class Limit:
    """A number field: its type, its inclusive range and its unit."""

    field: str
    kind: type[int] | type[float]
    low: float
    high: float
    unit: str = ""

    def check(self, owner: str, value: object) -> None:
        """Raise SpecError unless value is of the kind and within [low, high]."""
        kinds = (int, float) if self.kind is float else (int,)
        if isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high:  # false for NaN
            return
        article = "an int" if self.kind is int else "a number"
        unit = f" {self.unit}" if self.unit else ""
        low, high = (f"{bound:g}" if self.kind is float else str(int(bound)) for bound in (self.low, self.high))
        raise SpecError(f"{owner}.{self.field} must be {article} in [{low}, {high}]{unit}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Choice:
    """A field that takes one of a few values."""

    field: str
    values: tuple[object, ...]

    def check(self, owner: str, value: object) -> None:
        """Raise SpecError unless value is one of the allowed ones."""
        if any(value == allowed and type(value) is type(allowed) for allowed in self.values):  # 1 is not True
            return
        allowed = ", ".join(str(v) for v in self.values)
        raise SpecError(f"{owner}.{self.field} must be one of {allowed}, got {value!r}")


def check(described: object, limits: Iterable[Limit | Choice]) -> None:
    """Check the fields of a description against its table; the first one out of limits raises."""
    owner = type(described).__name__
    for limit in limits:
        limit.check(owner, getattr(described, limit.field))
