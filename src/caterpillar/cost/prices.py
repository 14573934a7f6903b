"""Price tables: what an event costs and what a block occupies, each entry with its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import fsum

from caterpillar.checks import Choice, Limit, SpecError, UsageError, check
from caterpillar.machine import Machine

VALUE = Limit("value", float, 0.0, 1e9)
RANGE = Limit("range", float, 0.0, 1e9)
WIDTH = Choice("pe_sram_word_bits", (16, 32, 64, 128))
NODE = Limit("node_nm", int, 1, 1000, "nm")
LATE = (
    Limit("pe_sram_late_cycles", int, 0, 64, "cycles"),
    Limit("core_sram_late_cycles", int, 0, 64, "cycles"),
)
MACHINE_FIELDS = tuple(field.name for field in fields(Machine))
SIZES = (
    Limit("pe_sram_bytes", int, 1, 1 << 30, "bytes"),
    Limit("core_sram_bytes", int, 1, 1 << 30, "bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A number, at least 0, and where it comes from; the unit is said where it stands.

    range: the least and the greatest that it could reasonably be; without one it is taken as exact. parts: what the
    number is made of, as (component, price), where it belongs to more than one component; they add up to it.
    """

    value: float
    source: str
    range: tuple[float, float] | None = None
    parts: tuple[tuple[str, Price], ...] = ()

    def __post_init__(self) -> None:
        VALUE.check("Price", self.value)
        if not str(self.source).strip():
            raise SpecError(f"Price.source must say where the number comes from, got {self.source!r}")
        for end in self.range or ():
            RANGE.check("Price", end)
        if not self.low <= self.value <= self.high:
            raise SpecError(f"Price.range must hold the value {self.value}, got [{self.low}, {self.high}]")

    @property
    def low(self) -> float:
        """The least it could be."""
        return self.value if self.range is None else self.range[0]

    @property
    def high(self) -> float:
        """The greatest it could be."""
        return self.value if self.range is None else self.range[1]

    def times(self, factor: float, why: str = "") -> Price:
        """The price scaled, its range and its parts with it; why is added to the source."""
        return Price(
            value=self.value * factor,
            range=(self.low * factor, self.high * factor),
            source=f"{self.source}; {why}" if why else self.source,
            parts=tuple((component, part.times(factor)) for component, part in self.parts),
        )

    @classmethod
    def sum(cls, parts: tuple[tuple[str, Price], ...]) -> Price:
        """Prices of several components added up; its ends are the sums of theirs."""
        return cls(
            value=fsum(part.value for _, part in parts),
            range=(fsum(part.low for _, part in parts), fsum(part.high for _, part in parts)),
            source=" + ".join(dict.fromkeys(part.source for _, part in parts)),
            parts=parts,
        )


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
    pe_sram_word_bits: the width that MEM A's prices and area hold for; another is taken in CACTI's ratio (widths).
    machine: the one that the table was made for, where it holds for one alone. pe_sram_late_cycles and
    core_sram_late_cycles: by how much the first word of a pass over a PE's or a core's SRAM comes later than from one
    that answers within a cycle (0: not known).
    logic_volts, memory_volts: the supplies that the prices hold for; None where their source does not give them.
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
    outside_words: Price
    activation_words: Price
    pe_cycles: Price
    pe_sram_word_bits: int = 16
    machine: Machine | None = None
    pe_sram_late_cycles: int = 0
    core_sram_late_cycles: int = 0
    logic_volts: float | None = None
    memory_volts: float | None = None

    def __post_init__(self) -> None:
        check(self, (NODE, WIDTH, *LATE))
        for field in ("logic_volts", "memory_volts"):
            if getattr(self, field) is not None:
                check(self, (Limit(field, float, 0.1, 10.0, "V"),))
        for field, value in (("fma", self.fma.low), ("factor", self.factor.low), ("areas.fpu", self.areas.fpu.low)):
            if value <= 0:
                raise SpecError(f"Prices.{field} must be more than 0 (every run multiplies), got {value:g}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The priced events, in order: exactly those that Counters counts."""
        return tuple(field.name for field in fields(cls) if field.name not in _ABOUT_THE_TABLE)

    def pj(self, event: str) -> float:
        """What one event costs in pJ, the factor included."""
        price: Price = getattr(self, event)
        return price.value * self.factor.value

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The fields of Machine that decide whether the table holds for it."""
        of_width = ("pe_sram_word_bits", "pe_sram_bytes", "clock_hz")
        return ("node_nm", *of_width) if self.machine is None else MACHINE_FIELDS

    def of(self, machine: Machine) -> Prices:
        """The table, MEM A priced for the width of the machine's.

        Raises UsageError where it is of another node, or was made for another machine, or no memory of that width is.
        """
        if machine.node_nm != self.node_nm:
            raise UsageError(
                f"--prices {self.name} is a table of {self.node_nm} nm; machine {machine.name} has node_nm "
                f"{machine.node_nm}: set its node_nm to {self.node_nm}, or give a price table of {machine.node_nm} nm"
            )
        if self.machine not in (None, machine):
            raise UsageError(f"the {self.name} prices at hand were made for another machine than {machine.name}")
        if self.machine is None and machine.pe_sram_word_bits != self.pe_sram_word_bits:
            from caterpillar.cost.widths import at_width  # needs this module

            return at_width(self, machine)
        return self


_ABOUT_THE_TABLE = (
    "name",
    "node_nm",
    "factor",
    "areas",
    "pe_sram_word_bits",
    "machine",
    "pe_sram_late_cycles",
    "core_sram_late_cycles",
    "logic_volts",
    "memory_volts",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceModel:
    """Prices that depend on the machine: build makes its table, or raises UsageError where it cannot.

    depends_on: the fields of Machine that the table depends on.
    """

    name: str
    build: Callable[[Machine], Prices]
    depends_on: tuple[str, ...] = MACHINE_FIELDS

    def of(self, machine: Machine) -> Prices:
        """The table of a machine."""
        return self.build(machine)


Pricing = Prices | PriceModel
