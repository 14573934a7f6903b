"""Area of a machine, by component."""

from __future__ import annotations

from caterpillar.cost.prices import Price, Prices
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
    blocks = (
        ("fpu", table.fpu.times(machine.pes)),
        ("pe_memory", table.pe_sram.times(machine.pes * machine.pe_sram_bytes / table.pe_sram_bytes)),
        ("pe_rest", table.pe_rest.times(machine.pes)),
        ("core_memory", table.core_sram.times(machine.cores * machine.core_sram_bytes / table.core_sram_bytes)),
    )
    return tuple(leaf for name, block in blocks for leaf in block.parts or ((name, block),))
