"""Prices of a machine from its circuits: every event and block of the machine at hand, nothing fitted.

`cacti` takes memories from CACTI, the FMA, flip-flops and register files from published figures, wires from their
geometry over the lengths that the areas imply. `horowitz` is the same machine with the FMA and the memory accesses of
Horowitz's ISSCC 2014 figures, which are of 45 nm.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from caterpillar.checks import UsageError
from caterpillar.cost import control
from caterpillar.cost.circuits import (
    RING_DIRECTIONS,
    WORD_BITS,
    Circuits,
    circuits,
    latch_bits,
    register_bits,
)
from caterpillar.cost.prices import MACHINE_FIELDS, Areas, Price, PriceModel, Prices
from caterpillar.cost.technology import figures
from caterpillar.cost.technology.scaling import CACTI_SUPPLY_V, energy_factor
from caterpillar.cost.technology.wires import rise_pj, wire_pj
from caterpillar.machine import Machine

if TYPE_CHECKING:
    from caterpillar.cost.activity import Activity

EXACT = Price(value=1.0, source="prices made of circuits need no factor")

# Clock wire a PE, in pitches: 1.5 for an H-tree over the core, the rest to the flip-flops (our judgement).
CLOCK_PITCHES = (1.5, 3.0, 6.0)
CLOCK_BUFFERS = 1.3
SOFTMAX_OPERATIONS = 26  # a logit's at most: 13 rounds of two (mapping.isa.softmax_cycles)

# Parts of a PE's rest that are memories, whose leakage CACTI gives.
_ARRAYS = ("mem_b", "micro_program", "ring_queues", "logits")


def cacti(machine: Machine, volts: float | None = None) -> Prices:
    """Prices of a machine at its node; logic at volts, memories at CACTI's supplies.

    Raises UsageError where no memory or no FMA keeps up with the clock, or volts lie outside of the scaling laws.
    """
    built = circuits(machine, volts)
    logic = energy_factor(machine.node_nm, built.volts)
    flip_flops = figures.FLIP_FLOP_PJ.times(logic * WORD_BITS, "16 of them")
    register = _register_file(machine.pe_registers).times(logic)
    return Prices(
        name="cacti",
        node_nm=machine.node_nm,
        logic_volts=built.volts,
        memory_volts=CACTI_SUPPLY_V[machine.node_nm],
        factor=EXACT,
        areas=_areas(built),
        fma=figures.FMA_PJ.times(logic),
        pe_sram_read_words=built.mem_a.word_price("read_pj"),
        pe_sram_write_words=built.mem_a.word_price("write_pj"),
        mem_b_read_words=built.mem_b.word_price("read_pj"),
        mem_b_write_words=built.mem_b.word_price("write_pj"),
        register_reads=register,
        register_writes=register,
        row_bus_words=_bus(built, machine.pe_cols, flip_flops),
        column_bus_words=_bus(built, machine.pe_rows, flip_flops),
        neighbour_words=_flight(built, built.pe_pitch_mm, flip_flops),
        ring_word_hops=_ring(built, flip_flops),
        core_sram_read_words=_off_core(built, "read_pj"),
        core_sram_write_words=_off_core(built, "write_pj"),
        outside_words=figures.OUTSIDE_WORD_PJ,
        activation_words=_activation(logic, flip_flops),
        pe_cycles=Price.sum(
            (
                ("leakage", _leakage(built)),
                ("clock", _clock(built, logic)),
                ("control", _control(built, logic)),
            )
        ),
        machine=machine,
        pe_sram_late_cycles=built.mem_a.late_cycles,
        core_sram_late_cycles=0 if built.off_core is None else built.off_core.late_cycles,
    )


def horowitz(machine: Machine) -> Prices:
    """As cacti, with Horowitz's figures for the FMA and for accesses to the local and the off-core SRAM.

    Raises UsageError besides at other nodes than 45 nm and for memories outside of 8 KB to 1 MB.
    """
    if machine.node_nm != 45:
        raise UsageError(
            f"horowitz prices are of 45 nm; machine {machine.name} has node_nm {machine.node_nm}: use cacti"
        )
    local = _cache(machine.pe_sram_bytes, machine.pe_sram_word_bits, "pe_sram_bytes")
    off_core = Price(value=0.0, source="no off-core SRAM")
    if machine.core_sram_bytes:
        off_core = _cache(machine.core_sram_bytes, WORD_BITS * machine.core_sram_words_per_cycle, "core_sram_bytes")
    return replace(
        cacti(machine),
        name="horowitz",
        memory_volts=figures.HOROWITZ_V,
        fma=figures.HOROWITZ_FMA_PJ,
        pe_sram_read_words=local,
        pe_sram_write_words=local,
        core_sram_read_words=off_core,
        core_sram_write_words=off_core,
    )


def _areas(built: Circuits) -> Areas:
    machine = built.machine
    off_core = Price(value=0.0, source="no off-core SRAM")
    if built.off_core is not None:
        off_core = built.off_core.price("area_mm2").times(built.off_core.lanes)
    return Areas(
        fpu=built.fpu_mm2,
        pe_sram=built.mem_a.price("area_mm2"),
        pe_rest=built.rest_mm2,
        core_sram=off_core,
        pe_sram_bytes=machine.pe_sram_bytes,
        core_sram_bytes=max(1, machine.core_sram_bytes),
    )


def _register_file(words: int) -> Price:
    """Energy of an access grows as a power of the words between the two published files; 16 stands for fewer."""
    (small, low), (large, high) = figures.REGISTER_FILE_PJ.items()
    value = low * (high / low) ** (math.log(max(words, small) / small) / math.log(large / small))
    return Price(value=value, range=(value / 2, max(value, high)), source=figures.REGISTER_FILE_SOURCE)


def _bus(built: Circuits, pes: int, flip_flops: Price) -> Price:
    """A word over all PEs of a row or column, latched by every PE."""
    return _flight(built, pes * built.pe_pitch_mm, flip_flops.times(pes, f"in {pes} latches"))


def _flight(built: Circuits, length_mm: float, latches: Price) -> Price:
    wire = wire_pj(length_mm=length_mm, bits=WORD_BITS, node_nm=built.machine.node_nm, volts=built.volts)
    return _joined(wire, latches)


def _ring(built: Circuits, flip_flops: Price) -> Price:
    """A word from a core to the next: into its queue and out of it."""
    queue = built.ring_queue
    flight = _flight(built, built.core_pitch_mm, flip_flops)
    return _joined(flight, queue.word_price("write_pj"), queue.word_price("read_pj"))


def _joined(*prices: Price) -> Price:
    return replace(Price.sum(tuple(("", price) for price in prices)), parts=())


def _off_core(built: Circuits, quantity: str) -> Price:
    """A word of the off-core SRAM, half a core away from the PEs."""
    if built.off_core is None:
        return Price(value=0.0, source="no off-core SRAM")
    way = built.core_pitch_mm / 2
    wire = wire_pj(length_mm=way, bits=WORD_BITS, node_nm=built.machine.node_nm, volts=built.volts)
    return _joined(built.off_core.word_price(quantity), wire)


def _activation(logic: float, flip_flops: Price) -> Price:
    """ReLU: a comparison and a latch. High: the softmax unit, whose logits are two words each (in and out)."""
    relu = _joined(figures.INTEGER_ADD_PJ.times(logic), flip_flops)
    return replace(
        relu,
        range=(relu.low, relu.high + SOFTMAX_OPERATIONS / 2 * figures.FMA_PJ.value * logic),
        source=f"{relu.source}; high: {SOFTMAX_OPERATIONS // 2} FMAs besides, softmax",
    )


def _leakage(built: Circuits) -> Price:
    """What a PE leaks in a cycle, with its share of what its core leaks."""
    machine = built.machine
    cycle_pj_per_mw = 1e9 / machine.clock_hz
    logic_mm2 = built.fpu_mm2.value + sum(area.value for name, area in built.rest_mm2.parts if name not in _ARRAYS)
    leaks = [
        built.mem_a.price("leakage_mw"),
        built.mem_b.price("leakage_mw"),
        built.micro_program.price("leakage_mw").times(1 / machine.pes_per_core),
        built.ring_queue.price("leakage_mw").times(RING_DIRECTIONS * built.ring_queue.lanes / machine.pes_per_core),
        figures.LOGIC_LEAKAGE_MW_PER_MM2.times(logic_mm2, f"{logic_mm2:.4f} mm2 of logic a PE"),
    ]
    softmax = built.softmax
    leaks.append(softmax.price("leakage_mw").times(softmax.lanes / machine.pes_per_core))
    if built.off_core is not None:
        share = built.off_core.lanes / machine.pes_per_core
        leaks.append(built.off_core.price("leakage_mw").times(share, "a core's, shared by its PEs"))
    return _joined(*leaks).times(cycle_pj_per_mw)


def _clock(built: Circuits, logic: float) -> Price:
    """Clock wires and the flip-flops that are never gated. High: no flip-flop of the PE is gated."""
    machine = built.machine
    rise = rise_pj(length_mm=built.pe_pitch_mm, node_nm=machine.node_nm, volts=built.volts) * CLOCK_BUFFERS
    low, value, high = (rise * pitches for pitches in CLOCK_PITCHES)
    bit = figures.FLIP_FLOP_PJ.times(logic)
    bits = control.switch_bits()
    every_bit = bits + register_bits(machine) + latch_bits(machine)
    return Price(
        value=value + bits * bit.value,
        range=(low + bits * bit.low, high + every_bit * bit.high),
        source=f"clock wires of 3 (1.5 to 6) pitches of {built.pe_pitch_mm:.2f} mm a PE, buffers 30 %; {bits} "
        f"flip-flops never gated (high: all {every_bit}): {bit.source}",
    )


def _control(built: Circuits, logic: float) -> Price:
    """The control word: its sequencers in the core, its way over the core, its latches in the PE."""
    steps, (wire, flip_flop, add) = _control_steps(built, logic)
    activities = (control.FETCHES, control.ISSUES, control.TOGGLES, control.CHANGED_BITS)
    parts = tuple(zip(steps, activities, strict=True))
    return Price(
        value=math.fsum(price.value * activity[1] for price, activity in parts),
        range=(
            math.fsum(price.low * activity[0] for price, activity in parts),
            math.fsum(price.high * activity[2] for price, activity in parts),
        ),
        source=f"a cycle's {control.CHANGED_BITS[1]} changed bits of fields latched, {control.TOGGLES[1]} toggles sent "
        f"over the core, {control.ISSUES[1]} steps of sequencers and {control.FETCHES[1]} instructions fetched, as in "
        f"sgd on paper-a (cost/control.py): {flip_flop.source}; {wire.source}; {add.source}",
    )


def control_pj(machine: Machine, activity: Activity) -> float:
    """pJ a PE and cycle of a program's own control, in place of that of sgd on paper-a which the price takes."""
    built = circuits(machine)
    steps, _ = _control_steps(built, energy_factor(machine.node_nm, built.volts))
    counted = (activity.fetches, activity.issues, activity.toggles, activity.changed_bits)
    return math.fsum(price.value * times for price, times in zip(steps, counted, strict=True))


def _control_steps(built: Circuits, logic: float) -> tuple[tuple[Price, ...], tuple[Price, ...]]:
    """A PE's share of a fetch and of a sequencer's step, a toggle and a latched bit; and what they are made of."""
    machine = built.machine
    wire = wire_pj(
        length_mm=machine.pes_per_core * built.pe_pitch_mm, bits=1, node_nm=machine.node_nm, volts=built.volts
    )
    flip_flop, add = figures.FLIP_FLOP_PJ.times(logic), figures.INTEGER_ADD_PJ.times(logic)
    step = _joined(add.times(control.SUMS_AN_ISSUE), flip_flop.times(control.CLOCKED_BITS_AN_ISSUE))
    share = 1 / machine.pes_per_core
    fetch = built.micro_program.price("read_pj").times(share)
    toggle = wire.times(2 * share)  # a random bit toggles in half of the cycles
    return (fetch, step.times(share), toggle, flip_flop), (wire, flip_flop, add)


def _cache(size_bytes: int, word_bits: int, field: str) -> Price:
    """A 16-bit word of a cache between Horowitz's sizes, along straight lines in the logarithms."""
    sizes = list(figures.HOROWITZ_CACHE_PJ.items())
    for (small, low), (large, high) in itertools.pairwise(sizes):
        if small <= size_bytes <= large:
            access = low * (high / low) ** (math.log(size_bytes / small) / math.log(large / small))
            word = access * WORD_BITS / 64
            return Price(
                value=word,
                range=(word, word * max(1.0, 64 / word_bits)),
                source=f"{figures.HOROWITZ_CACHE_SOURCE}: {size_bytes} bytes between them, a quarter of the access a "
                "word (our derivation); high: an access as large for a narrower word",
            )
    raise UsageError(
        f"horowitz prices know memories of {sizes[0][0]} to {sizes[-1][0]} bytes; {field} is {size_bytes}: use cacti"
    )


# A table is of one core and its PEs: how many cores there are, and the machine's name, change nothing in it.
_OF_A_CORE = tuple(name for name in MACHINE_FIELDS if name not in ("name", "core_rows", "cores_per_row"))
CACTI = PriceModel(name="cacti", build=cacti, depends_on=_OF_A_CORE)
HOROWITZ = PriceModel(name="horowitz", build=horowitz, depends_on=_OF_A_CORE)
