"""place for continuous propagation: layout, order, micro-program, or what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.isa import QUEUES, MicroProgram
from caterpillar.mapping.pipeline.choose import choose, least_period
from caterpillar.mapping.pipeline.layout import Layout, finish, late
from caterpillar.mapping.pipeline.order import make_order
from caterpillar.mapping.pipeline.planner import TooLate
from caterpillar.mapping.pipeline.tick import Room, additions, steady_tick
from caterpillar.mapping.schedule import Schedule
from caterpillar.network import Network
from caterpillar.program import Program

# Gaps in a pass: so many for each multiply-add that could fill one, for not all come when one is wanted, and some for
# the levels of dependent additions. Few make short passes, more let what goes on beside them end sooner: both are
# tried, and the shorter tick is taken. Found by trial on the paper's networks and machines.
GAPS = ((1.8, 10), (2.5, 20))


def place_pipeline(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-program of a tick of cp. Raises UsageError for what it cannot do."""
    network = program.network
    layout = _layout(network, machine)
    short = _too_small(layout, machine)
    if short:
        return short
    ticks = list(_ticks(layout, machine))
    if not ticks:
        raise UsageError(
            f"{program.rule} on machine {machine.name}: no plan in which all words come in time; raise "
            "Machine.ring_words_per_cycle, core_sram_words_per_cycle or pe_registers"
        )
    depth = network.depth
    return Schedule(
        network=network,
        machine=machine,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=make_order(layout, machine),
        steady=min(ticks, key=lambda tick: tick.cycles),
        extra_ticks=2 * depth - 1,
        queues=layout.registers.queues,
        sample_beats=layout.sample_beats,
        sram_beats=layout.sram_beats,
        label_lag=depth - 1 + late(depth, depth),
        macs_per_sample=program.macs_per_sample,
    )


def _ticks(layout: Layout, machine: Machine) -> Iterator[MicroProgram]:
    for gaps in GAPS:
        with suppress(TooLate):
            yield steady_tick(layout, machine, _room(layout, machine, *gaps))


def _room(layout: Layout, machine: Machine, gaps_an_addition: float, levels: int) -> Room:
    room = Room()
    for index, split in enumerate(layout.splits[1:], start=1):
        weights = (3 if index > 1 else 2) * split.width * split.sums
        room.group[index] = least_period(split, machine, index) - weights
    for index, number in additions(layout, machine).items():
        room.gaps[index] = round(gaps_an_addition * number / (3 if index > 1 else 2)) + levels
    return room


def _layout(network: Network, machine: Machine) -> Layout:
    """The best layout that fits MEM B; if none does, the smallest."""
    room = machine.pe_mem_b_bytes // WORD_BYTES
    layout = finish(network, machine, list(choose(network, machine, room)))
    while layout.mem_b_words > machine.pe_mem_b_bytes // WORD_BYTES and room > 0:
        room -= 1 + layout.mem_b_words - machine.pe_mem_b_bytes // WORD_BYTES
        layout = finish(network, machine, list(choose(network, machine, room)))
    return layout


def _too_small(layout: Layout, machine: Machine) -> Infeasible | None:
    registers = 3 * max(split.width for split in layout.splits) + 2
    for what, needs, has, hint in (
        ("MEM A of a PE", layout.mem_a_words, machine.pe_sram_words, "raise pe_sram_bytes or the number of cores"),
        (
            "MEM B of a PE",
            layout.mem_b_words,
            machine.pe_mem_b_bytes // WORD_BYTES,
            "raise pe_mem_b_bytes or the number of cores",
        ),
        ("the register file of a PE", registers, machine.pe_registers, "raise pe_registers or lower fma_latency"),
        (
            "the SRAM of a core",
            layout.sram_beats * machine.pe_rows,
            machine.core_sram_bytes // WORD_BYTES,
            "raise core_sram_bytes",
        ),
        ("a core's address registers", len(layout.registers.queues), QUEUES, "take fewer layers"),
    ):
        if needs > has:
            return Infeasible(what=what, needs_bytes=needs * WORD_BYTES, has_bytes=has * WORD_BYTES, hint=hint)
    return None
