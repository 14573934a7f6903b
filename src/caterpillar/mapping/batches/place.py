"""place for batches: a Program on a Machine -> a Schedule, or what does not fit."""

from __future__ import annotations

from dataclasses import replace

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import Machine
from caterpillar.mapping.batches.backward import backward_pass, backward_rooms
from caterpillar.mapping.batches.forward import forward_pass, forward_rooms
from caterpillar.mapping.batches.layout import PAIR, LayerLayout, Layout, make_layout
from caterpillar.mapping.batches.output import output_pass, output_words, places_beside, updates_and_output
from caterpillar.mapping.batches.plan import NoRoom, Plan
from caterpillar.mapping.batches.update import update_pass, update_rooms
from caterpillar.mapping.isa import MicroProgram, accumulators
from caterpillar.mapping.room import ADDRESSES, HINTS, MEM_A, MEM_B, QUEUE, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.numerics import GemvOrder, Order
from caterpillar.program import Program


def place_batches(program: Program, machine: Machine, rule: str) -> Schedule | Infeasible:
    """The micro-program of a batch of mbgd, fa, dfa or mbcp. Raises UsageError for what this mapping cannot do."""
    if program.batch % PAIR:
        raise UsageError(f"--batch must be 1 or even for a simulation, got {program.batch}")
    if machine.fma_latency < PAIR:
        raise UsageError(f"Machine.fma_latency must be at least {PAIR} for batches, got {machine.fma_latency}")
    if machine.pes_per_core == 1:
        raise UsageError("Machine.pe_rows x pe_cols must be at least 2 PEs a core for batches, got 1")
    layout = make_layout(program.network, machine, program.batch, rule)
    layout = replace(layout, mem_b_words=mem_b_words(layout))
    short = _too_small(layout, machine)
    if short:
        return short
    try:
        steady = _tick(layout)
    except NoRoom as short:
        raise UsageError(
            f"{program.rule_and_batch} on machine {machine.name}: no plan in which all words come in time ({short}); "
            "raise Machine.ring_words_per_cycle, or the number of PEs"
        ) from None
    beats, waiting = layout.layers[0].positions * machine.pe_cols, layout.delay[1]
    return Schedule(
        network=program.network,
        machine=machine,
        rule=program.rule,
        mapping="best",
        layout=layout,
        order=_order(layout, rule),
        steady=steady,
        batch=program.batch,
        extra_ticks=waiting,
        queues=layout.queues,
        arrival=layout.registers.get(("activations", 0), 0),
        sample_beats=beats,
        sram_beats=(waiting + 2) * beats * program.batch,
        macs_per_sample=program.macs_per_sample,
    )


def _tick(layout: Layout) -> MicroProgram:
    p, depth, at, beside = Plan(), len(layout.layers), 0, places_beside(layout)
    for index in range(1, depth):
        at = forward_pass(p, layout, index, at)
    at = at if beside else output_pass(p, layout, at)
    for index in range(depth - 1, 0, -1):
        if index > 1 and not layout.direct:
            at = backward_pass(p, layout, index, at)
        if beside and index == min(2, depth - 1):
            return p.program(updates_and_output(p, layout, index, at))
        at = update_pass(p, layout, index, at)
    return p.program(at)


def mem_b_words(layout: Layout) -> int:
    """Words of MEM B that the greediest pass takes."""
    depth = len(layout.layers)
    hidden = [forward_rooms(layout, index).words for index in range(1, depth)]
    hidden += [backward_rooms(layout, index).words for index in range(2, depth) if not layout.direct]
    hidden += [update_rooms(layout, index).words for index in range(1, depth)]
    return max(output_words(layout), *hidden)


def _too_small(layout: Layout, machine: Machine) -> Infeasible | None:
    rows = machine.pe_rows
    batches = layout.delay[1] + 2  # the next batch comes meanwhile
    beats = 2 * max(layer.beats for layer in layout.layers) + machine.pe_cols
    needs = {
        MEM_A: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: accumulators(machine) + 1,
        SRAM: batches * layout.batch * layout.layers[0].positions * machine.pe_cols * rows,
        QUEUE: beats * rows,
        ADDRESSES: len(layout.queues),
    }
    return too_small(machine, needs, {what: f"lower the batch or {HINTS[what]}" for what in (MEM_A, MEM_B, SRAM)})


def _bounds(layer: LayerLayout, cores: int) -> tuple[int, ...]:
    """Where each core's panel of outputs begins; cores past the last output have none."""
    return tuple(min(core * layer.panel, layer.outputs) for core in range(cores + 1))


def _order(layout: Layout, rule: str) -> Order:
    m, hidden = layout.machine, layout.layers[:-1]
    bounds = [_bounds(layer, m.cores) for layer in hidden]
    lanes = m.pes_per_core
    orders = [GemvOrder(bounds=bounds[0], forward_lanes=lanes, forward_combine="pairs")]
    for before, mine, layer in zip(bounds, bounds[1:], hidden, strict=False):
        owner = tuple(core for core in range(m.cores) for _ in range(before[core], before[core + 1]))
        orders.append(
            GemvOrder(
                bounds=mine,
                forward_lanes=lanes,
                forward_combine="pairs",
                forward_first=tuple(start % before[-1] for start in before[:-1]),
                input_bounds=before,
                block_spacing=layer.beats * m.pe_rows,
                backward_first=tuple((core + 1) % m.cores for core in owner),
            )
        )
    last = GemvOrder(
        bounds=(0, layout.layers[-1].outputs),
        forward_lanes=lanes,
        forward_combine="pairs",
        input_bounds=bounds[-1],
        block_lanes=min(layout.width, m.cores),
    )
    feedback: dict[str, tuple[GemvOrder | None, ...]] = {
        "fa": (None, *orders[1:], last),
        "dfa": (*(GemvOrder(bounds=last.bounds) for _ in orders), None),
    }
    return Order(layers=(*orders, last), feedback=feedback.get(rule, (None,) * len(layout.layers)))
