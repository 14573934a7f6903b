"""place for mini-batches whose weights lie in MEM A and the core SRAMs: a Program -> a Schedule, or what is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import Machine
from caterpillar.mapping.batches.output import output_pass, output_words
from caterpillar.mapping.batches.plan import NoRoom, Plan
from caterpillar.mapping.isa import MicroProgram, accumulators
from caterpillar.mapping.room import ADDRESSES, MEM_A, MEM_B, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.mapping.tiled.backward import backward_pass
from caterpillar.mapping.tiled.direct import direct_errors
from caterpillar.mapping.tiled.forward import forward_pass, forward_rooms
from caterpillar.mapping.tiled.layout import Layout, TiledLayer, first_at_once, make_layout, sub_batches
from caterpillar.mapping.tiled.rooms import backward_rooms, pieces
from caterpillar.network import Network
from caterpillar.numerics import GemvOrder, Order, Visits
from caterpillar.program import Program

TILED = ("mbgd", "dfa", "mbcp")


def place_tiled(program: Program, machine: Machine, rule: str) -> Schedule | Infeasible:
    """The micro-program of a batch of one of TILED, which is even. Raises UsageError where no plan is found."""
    fitting, short = _layouts(program.network, machine, rule, program.batch)
    why = NoRoom("a sub-batch of one sample does not fit the receive queue")
    plans = [partial(_planned, program, layout) for layout in fitting]
    return first_planned(program, machine, plans, short, why)


def _planned(program: Program, layout: Layout) -> Schedule:
    return _schedule(program, layout, _tick(layout))


def first_planned(
    program: Program,
    machine: Machine,
    plans: Sequence[Callable[[], Schedule]],
    short: Infeasible | None,
    why: NoRoom,
) -> Schedule | Infeasible:
    """The first of the plans, one for each layout that fits, in which all words come in time.

    short: what is too small if none fits. why: if there is neither. Raises UsageError if there is no plan.
    """
    for plan in plans:
        try:
            return plan()
        except NoRoom as late:
            why = late
    if short and not plans:
        return short
    raise UsageError(
        f"{program.rule_and_batch} on machine {machine.name}: no plan in which all words come in time ({why}); raise "
        "Machine.ring_words_per_cycle, core_sram_words_per_cycle or pe_sram_bytes"
    )


def fits_tiled(network: Network, machine: Machine, rule: str, batch: int) -> bool:
    """Whether the memories hold all for a batch."""
    return bool(_layouts(network, machine, rule, batch)[0])


def _layouts(network: Network, machine: Machine, rule: str, batch: int) -> tuple[list[Layout], Infeasible | None]:
    """Those that fit, the greatest sub-batches first; what the one that is shortest by least is short of."""
    fitting, missing = list[Layout](), list[Infeasible]()
    for samples, first in ((n, first) for n in sub_batches(machine, batch) for first in first_at_once(machine, n)):
        layout = make_layout(network, machine, rule, batch, samples, first)
        layout = replace(layout, mem_b_words=_mem_b_words(layout))
        short = _too_small(layout)
        if short:
            missing.append(short)
        else:
            fitting.append(layout)
    return fitting, min(missing, key=_shortness, default=None)


def _schedule(program: Program, layout: Layout, steady: MicroProgram) -> Schedule:
    return Schedule(
        network=program.network,
        machine=layout.machine,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=_order(layout),
        steady=steady,
        batch=program.batch,
        extra_ticks=layout.delay[1],
        queues=layout.queues,
        arrival=layout.registers[0],
        sample_beats=0,
        input_beats=layout.input_beats,
        sram_beats=layout.sram_words * layout.machine.pe_cols,
        streamed_weights=layout.streamed_weights,
        macs_per_sample=program.macs_per_sample,
    )


def _tick(layout: Layout) -> MicroProgram:
    p, hidden, at = Plan(), range(1, len(layout.layers) + 1), 0
    for index in hidden:
        at = forward_pass(p, layout, index, at)
    at = output_pass(p, layout.last, at)
    for index in reversed(hidden):
        at = backward_pass(p, layout, index, at)
        if layout.direct and index > 1:
            at = direct_errors(p, layout, index - 1, at)
    return p.program(at)


def _mem_b_words(layout: Layout) -> int:
    """Words of MEM B that the greediest pass takes."""
    hidden = range(1, len(layout.layers) + 1)
    forward = [forward_rooms(layout, index).words for index in hidden]
    backward = [backward_rooms(layout, index, pieces(layout, index)).words for index in hidden]
    direct = max(layer.own for layer in layout.layers) if layout.direct else 0
    return max(output_words(layout.last), direct, *forward, *backward)


def _too_small(layout: Layout) -> Infeasible | None:
    """The memory that is shortest of all, in proportion."""
    m = layout.machine
    positions = max(layout.layers[0].at_once, accumulators(m))
    needs = {
        MEM_A: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: positions,
        SRAM: layout.sram_words * layout.lanes,
        ADDRESSES: len(layout.queues),
    }
    hints = {SRAM: "raise pe_sram_bytes, core_sram_bytes or the number of cores"}
    short = [one for what, words in needs.items() if (one := too_small(m, {what: words}, hints))]
    return max(short, key=_shortness, default=None)


def _shortness(short: Infeasible) -> float:
    return short.needs_bytes / max(1, short.has_bytes)


def _order(layout: Layout) -> Order:
    m, lanes = layout.machine, layout.lanes
    bounds = [_bounds(layer, m.cores) for layer in layout.layers]
    orders = [GemvOrder(bounds=bounds[0], forward_lanes=lanes, forward_combine="pairs")]
    for before, mine, layer in zip(bounds, bounds[1:], layout.layers, strict=False):
        owner = [core for core in range(m.cores) for _ in range(before[core], before[core + 1])]
        orders.append(
            GemvOrder(
                bounds=mine,
                forward=_visits(before, mine, layer.own, m.cores, lanes),
                backward_first=tuple((core + 1) % m.cores for core in owner),
            )
        )
    last = GemvOrder(
        bounds=(0, layout.last.layers[-1].outputs),
        forward_lanes=lanes,
        forward_combine="pairs",
        input_bounds=bounds[-1],
        block_lanes=min(accumulators(m), m.cores),
    )
    direct = GemvOrder(bounds=last.bounds) if layout.direct else None
    return Order(layers=(*orders, last), feedback=(*(direct for _ in orders), None))


def _bounds(layer: TiledLayer, cores: int) -> tuple[int, ...]:
    """Where each core's panel of outputs begins; cores past the last output have none."""
    return tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1))


def _visits(before: tuple[int, ...], mine: tuple[int, ...], own: int, cores: int, lanes: int) -> Visits:
    """Own position after own position of all cores, from a panel's own core upwards."""
    terms, sums = list[tuple[int, ...]](), list[tuple[int, ...]]()
    for panel in range(cores):
        inputs, places = list[int](), list[int]()
        for i in range(own):
            for core in (*range(panel, cores), *range(panel)):
                first = before[core] + i * lanes
                here = range(first, min(first + lanes, before[core + 1]))
                inputs += here
                places += range(len(here))
        terms.append(tuple(inputs))
        sums.append(tuple(places))
    row = tuple(panel for panel in range(cores) for _ in range(mine[panel], mine[panel + 1]))
    return Visits(row=row, terms=tuple(terms), sums=tuple(sums), lanes=lanes, combine="pairs")
