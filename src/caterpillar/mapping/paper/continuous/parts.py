"""What a small step of a collective needs: issues, accesses of MEM B, and cycles in which something is held."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.mapping.builder import READ, WRITE
from caterpillar.mapping.isa import (
    LATCH,
    Unit,
)

Address = tuple[int, dict[str, int]]  # of a word of MEM B, and how else it is addressed


@dataclass(frozen=True, slots=True)
class Use:
    """An issue on a unit, `at` cycles after a step's start."""

    at: int
    unit: Unit
    fields: dict[str, int]


@dataclass(frozen=True, slots=True)
class Access:
    """A read or a write of MEM B, on either port."""

    at: int
    op: int
    word: Address
    slot: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Cycles at .. at + cycles - 1 in which a latch, a link or the core SRAM is spoken for."""

    at: int
    what: str
    cycles: int


Part = Use | Access | Hold


def use(at: int, unit: Unit, **fields: int) -> Use:
    """Use with its fields by name."""
    return Use(at, unit, fields)


def read(at: int, word: Address, latch: int, until: int) -> tuple[Part, ...]:
    """Read a word of MEM B into a latch; its last use is in cycle `until`."""
    return Access(at, READ, word, LATCH + latch), Hold(at, f"latch {latch}", until - at)


def write(at: int, word: Address, slot: int) -> Access:
    """Write a word of MEM B."""
    return Access(at, WRITE, word, slot)


@dataclass(frozen=True, slots=True)
class Link:
    """A partner's word that comes over the links."""

    word: Address
    bit: int
    hops: int
