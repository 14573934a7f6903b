"""Price tables: what an event costs and what a block occupies, each entry with its source."""

from __future__ import annotations

from dataclasses import dataclass, fields

from caterpillar.checks import Limit, SpecError, check

VALUE = Limit("value", float, 0.0, 1e9)
NODE = Limit("node_nm", int, 1, 1000, "nm")
SIZES = (
    Limit("pe_sram_bytes", int, 1, 1 << 30, "bytes"),
    Limit("core_sram_bytes", int, 1, 1 << 30, "bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A number, at least 0, and where it comes from; the unit is said where it stands."""

    value: float
    source: str

    def __post_init__(self) -> None:
        VALUE.check("Price", self.value)
        if not str(self.source).strip():
            raise SpecError(f"Price.source must say where the number comes from, got {self.source!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """mm2 of a PE's FPU, of its SRAM and of its rest, and of a core's SRAM; the SRAMs at the sizes given in bytes."""

    fpu: Price
    pe_sram: Price
    pe_rest: Price
    core_sram: Price
    pe_sram_bytes: int
    core_sram_bytes: int

    def __post_init__(self) -> None:
        check(self, SIZES)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The priced blocks, in order."""
        return ("fpu", "pe_sram", "pe_rest", "core_sram")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """A complete table: pJ for every event of Counters, a factor on them all, and the areas of the same technology.

    factor multiplies every price (1 where a table needs none). Prices are per access whatever a memory's size.
    """

    name: str
    node_nm: int
    factor: Price
    areas: Areas
    fma: Price
    pe_sram_read_words: Price
    pe_sram_write_words: Price
    mem_b_read_words: Price
    mem_b_write_words: Price
    register_reads: Price
    register_writes: Price
    row_bus_words: Price
    column_bus_words: Price
    neighbour_words: Price
    ring_word_hops: Price
    core_sram_read_words: Price
    core_sram_write_words: Price
    activation_words: Price
    pe_cycles: Price

    def __post_init__(self) -> None:
        check(self, (NODE,))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The priced events, in order: exactly those that Counters counts."""
        about_the_table = ("name", "node_nm", "factor", "areas")
        return tuple(field.name for field in fields(cls) if field.name not in about_the_table)

    def pj(self, event: str) -> float:
        """What one event costs in pJ, the factor included."""
        price: Price = getattr(self, event)
        return price.value * self.factor.value
