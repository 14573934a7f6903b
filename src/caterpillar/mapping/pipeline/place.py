"""place for continuous propagation: layout, order, micro-program, or what does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.pipeline.choose import choices, least_period, pass_cycles
from caterpillar.mapping.pipeline.layout import Layout, finish
from caterpillar.mapping.pipeline.order import make_order
from caterpillar.mapping.pipeline.planner import TooLate
from caterpillar.mapping.pipeline.split import Split
from caterpillar.mapping.pipeline.tick import Room, Tick, additions, steady_tick
from caterpillar.mapping.room import ADDRESSES, MEM_A, MEM_B, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.network import Network
from caterpillar.program import Program

# Gaps in a pass: so many for each multiply-add that could fill one, for not all come when one is wanted. Few make short
# passes, more let what goes on beside them end sooner: they are tried until nothing has to wait, then taken away.
GAPS = (1.0, 1.4, 2.0, 2.8, 4.0)
APART = 80  # cycles from one gap to the next: about what a step that depends on another waits for it
WORTH = 1000  # gaps of less than one in so many cycles of a tick are left as they are
LAYOUTS = 2  # so many that fit are planned
# Two layers share words if between their passes lie so many cycles, and some more a word: so long it takes at most, by
# trial, to add up what one has left, or to bring what the other takes.
ENOUGH = 600


def place_pipeline(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-program of a tick of cp. Raises UsageError for what it cannot do."""
    network = program.network
    layouts = _layouts(network, machine)
    short = _too_small(layouts[0], machine)
    if short:
        return short
    plans = [plan for layout in layouts if (plan := _plan(layout, machine))]
    if not plans:
        raise UsageError(
            f"{program.rule} on machine {machine.name}: no plan in which all words come in time; raise "
            "Machine.ring_words_per_cycle, core_sram_words_per_cycle or pe_registers"
        )
    best, layout = _polished(*min(plans, key=lambda plan: plan[0].program.cycles), machine)
    depth = network.depth
    return Schedule(
        network=network,
        machine=machine,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=make_order(layout, machine),
        steady=best.program,
        extra_ticks=2 * depth - 1,
        queues=layout.registers.queues,
        sample_beats=layout.sample_beats,
        sram_beats=layout.sram_beats,
        scaled_lag=2 * depth - 1,
        label_lag=depth - 1 + best.late,
        macs_per_sample=program.macs_per_sample,
    )


def _plan(layout: Layout, machine: Machine) -> tuple[Tick, Layout] | None:
    """A tick with few gaps in which no pass waits; if there is none, with many, in which they may."""
    room = Room()
    for index, split in enumerate(layout.splits[1:], start=1):
        room.group[index] = least_period(split, machine, index) - (3 if index > 1 else 2) * split.group_words
    for gaps in GAPS:
        _set_gaps(room, layout, machine, gaps)
        with suppress(TooLate):
            return steady_tick(layout, machine, room, patient=gaps == GAPS[-1]), layout
    return None


def _polished(tick: Tick, layout: Layout, machine: Machine) -> tuple[Tick, Layout]:
    """The same with fewer gaps, layer after layer, where that makes it shorter."""
    for index, (gaps, apart) in tick.room.gaps.items():
        if gaps * (3 if index > 1 else 2) * WORTH < tick.program.cycles:
            continue
        for share in (4, 2, 1):
            room = Room(before={}, group=dict(tick.room.group), gaps=dict(tick.room.gaps))
            room.gaps[index] = gaps * (4 - share) // 4, apart
            with suppress(TooLate):
                other = steady_tick(layout, machine, room, patient=False)
                if other.program.cycles < tick.program.cycles:
                    tick = other
                    break
    return tick, layout


def _set_gaps(room: Room, layout: Layout, machine: Machine, gaps_an_addition: float) -> None:
    """Gaps beside a pass are for what the one before it has made."""
    wanted, room.before = additions(layout, machine), {}
    for index, split in enumerate(layout.splits[1:], start=1):
        number = wanted[index - 1] if index > 1 else wanted[layout.depth] + wanted[layout.depth - 1]
        gaps = min(split.groups, math.ceil(gaps_an_addition * number / (3 if index > 1 else 2)))
        apart = APART // least_period(split, machine, index)
        room.gaps[index] = gaps, max(1, min(split.groups // max(1, gaps), apart))


def _layouts(network: Network, machine: Machine) -> list[Layout]:
    """The best layouts that fit MEM B, or else the smallest. Layers share words only where they do not fit without."""
    found: list[Layout] = []
    fitting: list[Layout] = []
    for splits in choices(network, machine):
        for together in (_always, _apart(splits, machine)):
            found.append(finish(network, machine, list(splits), together))
            if found[-1].mem_b_words <= machine.pe_mem_b_bytes // WORD_BYTES:
                fitting.append(found[-1])
                break
    return fitting[:LAYOUTS] or [min(found, key=lambda layout: layout.mem_b_words)]


def _always(_first: int, _second: int) -> bool:
    return True


def _apart(splits: tuple[Split, ...], machine: Machine) -> Callable[[int, int], bool]:
    """Whether two layers may not share words: too few cycles lie between their passes, or those of the next tick."""
    cycles = [pass_cycles(split, machine, i) for i, split in enumerate(splits, start=1)]
    words = [max(split.padded, split.sums) for split in splits]
    starts = [0, 0]
    for one in cycles:
        starts.append(starts[-1] + one)

    def together(first: int, second: int) -> bool:
        last = len(splits) + 1
        between = starts[second] - starts[first + 1]
        around = starts[first] + (starts[-1] - starts[second + 1] if second < last else 0)
        longest = max([*(words[layer - 1] for layer in (first, second) if layer < last), machine.pe_rows])
        return min(between, around) < ENOUGH + 8 * longest

    return together


def _too_small(layout: Layout, machine: Machine) -> Infeasible | None:
    needs = {
        MEM_A: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: 3 * max(split.width for split in layout.splits),
        SRAM: layout.sram_beats * machine.pe_rows,
        ADDRESSES: len(layout.registers.queues),
    }
    return too_small(machine, needs, {REGISTERS: "raise pe_registers or lower fma_latency"})
