"""Named event counts: they add, and they scale by whole numbers or, for averages per sample, by fractions."""

from __future__ import annotations

from dataclasses import dataclass, fields

Count = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Events of a machine; words are 16 bits. A closed form may count fractions of an event per sample.

    fma: fused multiply-adds issued, useful or not.
    pe_sram_read_words, pe_sram_write_words: a PE's large local SRAM (MEM A).
    mem_b_read_words, mem_b_write_words: a PE's small two-ported memory (MEM B).
    register_reads, register_writes: a PE's register file.
    row_bus_words, column_bus_words: words put on a bus of a core.
    neighbour_words: words over a link between neighbouring PEs.
    ring_word_hops: words times hops on the ring of cores, column links between the core rows included.
    core_sram_read_words, core_sram_write_words: a core's off-core SRAM.
    outside_words: words from outside the chip: a sample's inputs and its label.
    activation_words: words through an activation unit.
    pe_cycles: PEs times cycles (what leaks and what the clock tree drives).
    """

    fma: Count = 0
    pe_sram_read_words: Count = 0
    pe_sram_write_words: Count = 0
    mem_b_read_words: Count = 0
    mem_b_write_words: Count = 0
    register_reads: Count = 0
    register_writes: Count = 0
    row_bus_words: Count = 0
    column_bus_words: Count = 0
    neighbour_words: Count = 0
    ring_word_hops: Count = 0
    core_sram_read_words: Count = 0
    core_sram_write_words: Count = 0
    outside_words: Count = 0
    activation_words: Count = 0
    pe_cycles: Count = 0

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The events, in order."""
        return _NAMES

    def as_dict(self) -> dict[str, Count]:
        """Event -> count."""
        return {name: getattr(self, name) for name in _NAMES}

    def __add__(self, other: Counters) -> Counters:
        return Counters(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def __mul__(self, factor: Count) -> Counters:
        return Counters(**{name: getattr(self, name) * factor for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Counters))
