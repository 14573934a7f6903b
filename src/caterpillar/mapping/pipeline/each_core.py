"""Fields of an instruction that differ from core to core."""

from __future__ import annotations

from collections.abc import Iterable


class EachCore(int):
    """A field that differs from core to core; as a number it is that of core 0."""

    cores: tuple[int, ...]

    def __bool__(self) -> bool:
        return any(self.cores)


def each_core(values: Iterable[int]) -> int:
    """A field's value for each core, in order."""
    cores = tuple(values)
    if len(set(cores)) == 1:
        return cores[0]
    found = EachCore(cores[0])
    found.cores = cores
    return found


def plus(value: int, more: int) -> int:
    """A field's value, so much further on every core."""
    return each_core(one + more for one in value.cores) if isinstance(value, EachCore) else value + more
