"""The power that a machine draws when everything in it works in every cycle: what its supply must stand."""

from __future__ import annotations

from caterpillar.cost.energy import energy_pj, energy_range_pj
from caterpillar.cost.prices import Prices
from caterpillar.counters import Counters
from caterpillar.machine import Machine

PJ_PER_J = 1e12


def peak_counters(machine: Machine) -> Counters:
    """Events of a cycle in which every unit works; no schedule does all of it at once.

    A PE: an FMA with three register reads and a write, a read of its one-ported local memory, a read and a write of
    MEM B, a word to a neighbour. A core: a word on every bus, its full width from the off-core SRAM and on the ring, an
    activation a row.
    """
    pes, cores = machine.pes, machine.cores
    return Counters(
        fma=pes,
        pe_sram_read_words=pes * machine.pe_sram_word_bits / 16,
        mem_b_read_words=pes,
        mem_b_write_words=pes,
        register_reads=3 * pes,
        register_writes=pes,
        row_bus_words=cores * machine.pe_rows,
        column_bus_words=cores * machine.pe_cols,
        neighbour_words=pes if machine.neighbour_links else 0,
        ring_word_hops=cores * machine.ring_words_per_cycle,
        core_sram_read_words=cores * machine.core_sram_words_per_cycle if machine.core_sram_bytes else 0,
        activation_words=cores * machine.pe_rows,
        pe_cycles=pes,
    )


def peak_power_w(machine: Machine, prices: Prices) -> dict[str, float]:
    """W by component with every unit at work; the whole is their sum."""
    parts = energy_pj(peak_counters(machine), prices.of(machine))
    return {component: pj * machine.clock_hz / PJ_PER_J for component, pj in parts.items()}


def peak_power_range_w(machine: Machine, prices: Prices) -> tuple[float, float]:
    """The least and the greatest peak power that the prices' ranges allow."""
    low, high = energy_range_pj(peak_counters(machine), prices.of(machine))
    return low * machine.clock_hz / PJ_PER_J, high * machine.clock_hz / PJ_PER_J
