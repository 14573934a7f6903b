"""Energy: counts times prices, by component."""

from __future__ import annotations

from caterpillar.cost.prices import Prices
from caterpillar.counters import Counters

# Every event belongs to one component.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "fpu": ("fma",),
    "pe_memory": ("pe_sram_read_words", "pe_sram_write_words", "mem_b_read_words", "mem_b_write_words"),
    "core_memory": ("core_sram_read_words", "core_sram_write_words"),
    "registers": ("register_reads", "register_writes"),
    "buses": ("row_bus_words", "column_bus_words", "neighbour_words"),
    "ring": ("ring_word_hops",),
    "activation": ("activation_words",),
    "leakage": ("pe_cycles",),
}


def energy_pj(counters: Counters, prices: Prices) -> dict[str, float]:
    """pJ by component, for the events counted; the whole is their sum. leakage holds the clock tree too."""
    counts = counters.as_dict()
    return {
        component: sum((counts[event] * prices.pj(event) for event in events), 0.0)
        for component, events in COMPONENTS.items()
    }
