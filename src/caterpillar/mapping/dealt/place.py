"""place for mini-batches of layers cut by outputs and by inputs in turn: a Program -> a Schedule, or what is short."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from caterpillar.checks import Infeasible
from caterpillar.machine import Machine
from caterpillar.mapping.batches.output import output_pass, output_words
from caterpillar.mapping.batches.plan import NoRoom, Plan
from caterpillar.mapping.builder import READ, WRITE, loop
from caterpillar.mapping.dealt.dots import dot_pass, dot_rooms
from caterpillar.mapping.dealt.layout import DealtLayer, Layout, hands, make_layout
from caterpillar.mapping.dealt.products import width
from caterpillar.mapping.dealt.scatter import scatter_pass, scatter_rooms
from caterpillar.mapping.dealt.update import update_pass, update_rooms
from caterpillar.mapping.isa import BACKWARD, FORWARD, MEM_A, MicroProgram, accumulators, sram_beat_cycles
from caterpillar.mapping.room import MEM_A as MEM_A_ROOM
from caterpillar.mapping.room import MEM_B, REGISTERS, SRAM, too_small
from caterpillar.mapping.schedule import Schedule
from caterpillar.mapping.tiled.place import first_planned
from caterpillar.network import Network
from caterpillar.numerics import GemvOrder, Order, Visits
from caterpillar.program import Program

MOST_WAITING = 32  # tiles whose errors wait for the update, at least where there is room


def place_dealt(program: Program, machine: Machine) -> Schedule | Infeasible:
    """The micro-program of a batch, of which program.batch is even, with an odd number of hidden layers.

    Raises UsageError where no plan is found.
    """
    fitting, short = _layouts(program.network, machine, program.batch)
    plans = [partial(_planned, program, layout) for layout in fitting]
    return first_planned(program, machine, plans, short, NoRoom(""))


def _planned(program: Program, layout: Layout) -> Schedule:
    return _schedule(program, layout, _tick(layout))


def can_deal(network: Network) -> bool:
    """Whether the last hidden layer's activations are owned, as the last layer takes them."""
    return network.depth % 2 == 0


def fits_dealt(network: Network, machine: Machine, batch: int) -> bool:
    """Whether the memories hold all for a batch."""
    return bool(_layouts(network, machine, batch)[0])


def _layouts(network: Network, machine: Machine, batch: int) -> tuple[list[Layout], Infeasible | None]:
    """Those that fit, the best first; what the one that is shortest by least is short of."""
    fitting, missing = list[Layout](), list[Infeasible]()
    for samples, at_once in hands(machine, batch):
        layout, short = _with(network, machine, batch, samples, at_once, 1)
        if short:
            missing.append(short)
            continue
        tiles = min(_tiles(layout.layers[-1]), MOST_WAITING)
        wider = (_with(network, machine, batch, samples, at_once, waiting) for waiting in range(tiles, 0, -1))
        fitting.append(next(layout for layout, short in wider if short is None))
    return fitting, min(missing, key=lambda one: one.needs_bytes / max(1, one.has_bytes), default=None)


def _with(
    network: Network, machine: Machine, batch: int, samples: int, at_once: int, waiting: int
) -> tuple[Layout, Infeasible | None]:
    """A layout, and what is too small for it."""
    layout = make_layout(network, machine, batch, samples, at_once, waiting)
    layout = replace(layout, mem_b_words=_mem_b_words(layout))
    return layout, _too_small(layout)


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
        sample_beats=0,
        input_beats=layout.input_beats,
        sram_beats=layout.sram_words * layout.machine.pe_cols,
        streamed_weights=layout.streamed_weights,
        macs_per_sample=program.macs_per_sample,
    )


def _tick(layout: Layout) -> MicroProgram:
    p, at = Plan(), 0
    for index, layer in enumerate(layout.layers, start=1):
        with p.phase(f"forward {index}", FORWARD):
            to = layout.values[index]
            if layer.by_outputs:
                at = dot_pass(p, layout, index, at, range(layer.places), to, errors=False)
            else:
                at = scatter_pass(p, layout, index, at, range(_tiles(layer)), to, errors=False)
    at = output_pass(p, layout.last, at)
    for index in range(len(layout.layers), 1, -1):
        at = _backward(p, layout, index, at)
    layer = layout.layers[0]
    at = update_pass(p, layout, 1, at, range(_tiles(layer)), range(layer.places))
    return p.program(at + sram_beat_cycles(layout.machine) - 1)  # weights go to the core SRAM till the end


def _tiles(layer: DealtLayer) -> int:
    return -(-layer.positions // layer.at_once)


def _backward(p: Plan, layout: Layout, index: int, at: int) -> int:
    """Errors of layer index - 1 in place of its activations, layer `index` updated.

    Errors wait where later layers' errors were, until the update has used the activations: as many at a time as there
    is room for.
    """
    layer, to = layout.layers[index - 1], layout.values[index - 1]
    waiting = (*layout.values, layout.scratch)[index + 1]
    room = layout.scratch + layout.scratch_words - waiting
    if not any(one.streamed for one in layer.blocks):
        room += layout.window_words  # it is beyond the scratch, and not wanted
    each = layout.parts * layout.units if layer.by_outputs else layout.batch
    total, some = (_tiles(layer) if layer.by_outputs else layer.places), room // each
    for first in range(0, total, some):
        mine = range(first, min(first + some, total))
        with p.phase(f"backward {index}", BACKWARD):
            if layer.by_outputs:
                at = scatter_pass(p, layout, index, at, mine, waiting, errors=True)
            else:
                at = dot_pass(p, layout, index, at, mine, waiting, errors=True)
        every = range(layer.places) if layer.by_outputs else range(_tiles(layer))
        tiles, places = (mine, every) if layer.by_outputs else (every, mine)
        at = update_pass(p, layout, index, at, tiles, places)
        with p.phase(f"backward {index}", BACKWARD), p.account("collective"):
            along = [loop(len(mine) * each, 2, address=1)]
            p.memory_a(READ, at, along, waiting, MEM_A)
            p.memory_a(WRITE, at + 1, along, to + first * each, MEM_A)
        at += 2 * len(mine) * each
    return at


def _mem_b_words(layout: Layout) -> int:
    """Words of MEM B that the greediest pass takes."""
    scatters = [scatter_rooms(layout, index).words for index in range(2, len(layout.layers) + 1)]
    return max(output_words(layout.last), dot_rooms(layout).words, update_rooms(layout).words, *scatters, 0)


def _too_small(layout: Layout) -> Infeasible | None:
    m = layout.machine
    needs = {
        MEM_A_ROOM: layout.mem_a_words,
        MEM_B: layout.mem_b_words,
        REGISTERS: max(width(m, layout.samples) + 1, layout.layers[0].at_once),
        SRAM: layout.sram_words * layout.lanes,
    }
    return too_small(m, needs, {SRAM: "raise pe_sram_bytes, core_sram_bytes or the number of cores"})


def _order(layout: Layout) -> Order:
    m, lanes = layout.machine, layout.lanes
    orders = list[GemvOrder]()
    for index, layer in enumerate(layout.layers, start=1):
        owned = layer.outputs if layer.by_outputs else layer.inputs
        bounds = tuple(min(core * layer.own, owned) for core in range(m.cores + 1))
        if layer.by_outputs:
            backward = _chain(layout, bounds, layer.inputs) if index > 1 else None
            orders.append(GemvOrder(bounds=bounds, forward_lanes=lanes, forward_combine="pairs", backward=backward))
        else:
            forward = _chain(layout, bounds, layer.outputs)
            back = GemvOrder(bounds=(0, layer.outputs), backward_lanes=lanes, backward_combine="pairs", forward=forward)
            orders.append(back)
    last = GemvOrder(
        bounds=(0, layout.last.layers[-1].outputs),
        forward_lanes=lanes,
        forward_combine="pairs",
        input_bounds=tuple(min(core * layout.layers[-1].own, layout.layers[-1].outputs) for core in range(m.cores + 1)),
        block_lanes=min(accumulators(m), m.cores),
    )
    return Order(layers=(*orders, last), feedback=(None,) * (len(orders) + 1))


def _chain(layout: Layout, bounds: tuple[int, ...], dealt: int) -> Visits:
    """The cores' sums of what they own, added up from the core above the one that a unit is dealt to."""
    cores, samples, at_once = layout.machine.cores, layout.samples, layout.layers[0].at_once
    owner = tuple(core for core in range(cores) for _ in range(bounds[core], bounds[core + 1]))
    starts = [
        tuple((k * samples + sample % samples + 1) % cores for sample in range(layout.batch)) for k in range(at_once)
    ]
    return Visits(
        row=(0,) * dealt,
        terms=(tuple(range(bounds[-1])),),
        sums=(owner,),
        lanes=cores,
        starts=tuple(starts[i // layout.lanes % at_once] for i in range(dealt)),
    )
