"""Area of a machine, by component."""

from __future__ import annotations

from collections.abc import Iterator

from caterpillar.cost.prices import Areas, Price, Prices
from caterpillar.machine import Machine


def area_mm2(machine: Machine, prices: Prices) -> dict[str, float]:
    """mm2 by component (fpu, pe_memory, pe_rest or its parts, core_memory); the whole is their sum.

    PEs x (FPU + SRAM + rest) + cores x SRAM, with memories in proportion to their bytes. With the paper's table this
    gives its printed totals (Li and Pedram 2017: 103.2 and 178.9 mm2). Raises UsageError where the table is of
    another node, or made for another machine.
    """
    return {component: area.value for component, area in areas(machine, prices)}


def areas(machine: Machine, prices: Prices) -> tuple[tuple[str, Price], ...]:
    """(component, mm2 of the whole machine with its range), in the order of area_mm2."""
    table = prices.of(machine).areas
    counts = block_counts(machine, pe_sram_bytes=table.pe_sram_bytes, core_sram_bytes=table.core_sram_bytes)
    return tuple((component, area.times(counts[block])) for block, component, area in block_leaves(table))


def block_counts(machine: Machine, *, pe_sram_bytes: int, core_sram_bytes: int) -> dict[str, float]:
    """How many of each priced block a machine has, memories in units of those sizes. Elementwise."""
    return {
        "fpu": machine.pes,
        "pe_sram": machine.pes * machine.pe_sram_bytes / pe_sram_bytes,
        "pe_rest": machine.pes,
        "core_sram": machine.cores * machine.core_sram_bytes / core_sram_bytes,
    }


def block_leaves(table: Areas) -> Iterator[tuple[str, str, Price]]:
    """(block, component, mm2 of one) for every area, parts in place of the area that they make up."""
    for block, component in _COMPONENTS.items():
        area: Price = getattr(table, block)
        yield from ((block, part, share) for part, share in area.parts or ((component, area),))


_COMPONENTS = {"fpu": "fpu", "pe_sram": "pe_memory", "pe_rest": "pe_rest", "core_sram": "core_memory"}
