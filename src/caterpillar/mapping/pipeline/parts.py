"""What a small step of a collective is made of."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.mapping.builder import READ, WRITE
from caterpillar.mapping.isa import LATCH, Unit


@dataclass(frozen=True, slots=True)
class Use:
    """An issue on a unit, `at` cycles after the step's start."""

    at: int
    unit: Unit
    fields: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Access:
    """A read or write of MEM B, on either port."""

    at: int
    op: int
    address: int
    slot: int
    extra: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Cycles at .. at + cycles - 1 in which a latch, a link or the core SRAM is spoken for."""

    at: int
    what: str
    cycles: int


Part = Use | Access | Hold


def use(at: int, unit: Unit, **fields: int) -> Use:
    """Use with its fields by name."""
    return Use(at, unit, tuple(fields.items()))


def read(at: int, address: int, latch: int, until: int, **extra: int) -> tuple[Part, ...]:
    """Read a word of MEM B into a latch; its last use is in cycle `until`."""
    return (Access(at, READ, address, LATCH + latch, tuple(extra.items())), Hold(at, f"latch {latch}", until - at))


def write(at: int, address: int, slot: int, **extra: int) -> Access:
    """Write a word of MEM B."""
    return Access(at, WRITE, address, slot, tuple(extra.items()))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of MEM B, and how it is addressed."""

    address: int
    how: tuple[tuple[str, int], ...] = ()


def word(address: int, **how: int) -> Word:
    """Word with how by name."""
    return Word(address, tuple(how.items()))


@dataclass(frozen=True, slots=True)
class Link:
    """A partner's word, off the links: the bit in which its lane differs, and so many hops."""

    word: Word
    bit: int
    hops: int
