"""Area of a machine, by component."""

from __future__ import annotations

from caterpillar.checks import UsageError
from caterpillar.cost.prices import Prices
from caterpillar.machine import Machine


def area_mm2(machine: Machine, prices: Prices) -> dict[str, float]:
    """mm2 by component (fpu, pe_memory, pe_rest, core_memory); the whole is their sum.

    PEs x (FPU + SRAM + rest) + cores x SRAM, with memories in proportion to their bytes. With the paper's table this
    gives its printed totals (Li and Pedram 2017: 103.2 and 178.9 mm2). Raises UsageError where the table is of
    another node than the machine.
    """
    if machine.node_nm != prices.node_nm:
        raise UsageError(
            f"--prices {prices.name} is a table of {prices.node_nm} nm; machine {machine.name} has node_nm "
            f"{machine.node_nm}: set its node_nm to {prices.node_nm}, or give a price table of {machine.node_nm} nm"
        )
    areas = prices.areas
    return {
        "fpu": machine.pes * areas.fpu.value,
        "pe_memory": machine.pes * areas.pe_sram.value * machine.pe_sram_bytes / areas.pe_sram_bytes,
        "pe_rest": machine.pes * areas.pe_rest.value,
        "core_memory": machine.cores * areas.core_sram.value * machine.core_sram_bytes / areas.core_sram_bytes,
    }
