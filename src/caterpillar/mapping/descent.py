"""`best` for one sample at a time: the micro-programs of a first tick, a steady tick and the last update.

The first layer's update waits for the next sample and shares its read of the weights with that sample's forward; so a
steady tick updates layer 1 with the sample before, and n samples take first + (n - 1) steady + last.
"""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.buses import (
    gather_delay,
    gather_pace,
    gather_ring,
    input_pace,
    load_input,
    softmax,
    spread_softmax,
)
from caterpillar.mapping.feedback import direct_backward, feedback_backward, spread, update_only
from caterpillar.mapping.isa import (
    BACKWARD,
    BACKWARD_UPDATE,
    COLLECTIVE,
    FORWARD,
    REGISTER,
    UPDATE,
    UPDATE_FORWARD,
    MicroProgram,
    accumulators,
)
from caterpillar.mapping.layout import Layout
from caterpillar.mapping.own_errors import back_own
from caterpillar.mapping.phases import copy, forward, scale, update_forward
from caterpillar.mapping.scatter import Scatter
from caterpillar.mapping.scatter_pass import back_scatter
from caterpillar.mapping.split import back_unit
from caterpillar.mapping.sums import clear_within, reduce_lanes, sum_cores


def registers(layout: Layout, machine: Machine, rule: str) -> int:
    """Registers of a PE that the phases need."""
    wanted = [accumulators(machine) + 1, reduction_registers(layout, machine)]
    for layer, fixed in zip(layout.layers[1:-1], layout.feedback[2:], strict=False):
        matrix = fixed if rule == "fa" and fixed else layer.weights
        if rule != "dfa":
            s = Scatter(machine=machine, start=0, layer=layer, matrix=matrix, update=rule == "sgd")
            wanted.append(s.carried - REGISTER + 1)
    return max(wanted)


def reduction_registers(layout: Layout, machine: Machine) -> int:
    """Registers of a PE for the sums over lanes, and for the errors of a pass through the first or last layer."""
    wanted = [0]
    for layer in layout.layers:
        wanted.append(max(back_unit(machine), layer.weights.tile.wide))
        halved = layer.order and 1 << layer.order[0] < layer.owners
        wanted.append(layer.owners // 2 if halved else layer.owners)
    return max(wanted)


def first_tick(layout: Layout, machine: Machine, rule: str) -> MicroProgram:
    """The first sample: nothing to update before."""
    return _tick(layout, machine, rule, update=False)


def steady_tick(layout: Layout, machine: Machine, rule: str) -> MicroProgram:
    """Update of layer 1 with the sample before, and all of the next sample but that."""
    return _tick(layout, machine, rule, update=True)


def last_update(layout: Layout, machine: Machine) -> MicroProgram:
    """Update of layer 1 with the last sample."""
    b = Builder()
    with b.phase("update 1", UPDATE):
        end = _first_layer(b, layout, machine, update=True, go_forward=False)
    return b.program(end)


def _tick(layout: Layout, machine: Machine, rule: str, *, update: bool) -> MicroProgram:
    b = Builder()
    with b.phase(*(("update 1, forward 1", UPDATE_FORWARD) if update else ("forward 1", FORWARD))):
        ready = _first_layer(b, layout, machine, update=update, go_forward=True)
    ready = _hidden_forward(b, layout, machine, ready)
    erred, scaled = output_forward(b, layout, machine, ready)
    with b.phase("scale", UPDATE):
        ready = max(erred, _scale(b, layout, machine, scaled))
    with b.phase(f"spread errors {len(layout.layers)}", BACKWARD_UPDATE):
        ready = spread_softmax(b, machine, ready, outputs=layout.layers[-1].outputs, to=layout.scratch)
    if rule == "dfa":
        return b.program(direct_backward(b, layout, machine, ready, update=update_only))
    where = {"own": layout.own[len(layout.layers) - 1], "to": layout.own_error}
    ready = output_backward(b, layout, machine, ready, feedback=rule == "fa", **where)
    backward = feedback_backward if rule == "fa" else _backward
    return b.program(backward(b, layout, machine, ready))


def _first_layer(b: Builder, layout: Layout, m: Machine, *, update: bool, go_forward: bool) -> int:
    layer = layout.layers[0]
    start, sums, pace = 1, layout.sums[1], 0
    if go_forward:
        width = max(back_unit(m), layer.weights.tile.wide)
        pace = input_pace(m, layer, 2 * width if update else accumulators(m))
        pace += pace % 2 if update else 0  # weights are read in even cycles
        with b.account("forward"):
            ready = load_input(b, m, 0, layer=layer, to=layout.new_input, pace=pace)
        start = max(1, ready - 1 - m.fma_latency) if update else ready + 1
    if not update:
        return forward(b, m, start, layer=layer, inputs=layout.new_input, sums=sums, pace=pace)
    return update_forward(
        b,
        m,
        start,
        old=layout.old_input,
        errors=layout.first_error,
        positions=layer.positions,
        matrix=layer.weights,
        pace=pace,
        new=(layout.new_input, sums) if go_forward else None,
    )


def reduce_layer(b: Builder, layout: Layout, m: Machine, index: int, ready: int, *, to: int, began: int) -> int:
    """A layer's sums over its lanes; returns when they are ready.

    began: since when nobody else writes where the sums are padded.
    """
    layer, sums = layout.layers[index - 1], layout.sums[index]
    spare = layer.own * layer.owners - layer.padded
    with b.account("collective"):
        ready = clear_within(b, began, ready, words=spare, to=sums + layer.padded)
    with b.phase(f"reduce {index}", COLLECTIVE):
        return reduce_lanes(b, m, ready, layer=layer, sums=sums, to=to, relu=index < len(layout.layers))


def _hidden_forward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """Reduces layer 1, then gathers, multiplies and reduces layers 2 .. L - 1; own outputs of L - 1 are ready."""
    depth, began = len(layout.layers), ready
    for index in range(1, depth - 1):
        own = layout.own[index]
        ready = reduce_layer(b, layout, m, index, ready, to=own, began=began)
        before, layer = layout.layers[index - 1], layout.layers[index]
        columns = layer.lanes // m.pe_rows
        pace, to = gather_pace(m, columns, accumulators(m)), layout.gathered[index + 1]
        beats = [before.source(beat, m.pe_rows) for beat in range(layer.chunk * columns)]
        sources = [beats[at : at + columns] for at in range(0, len(beats), columns)]
        with b.phase(f"all-gather {index}", COLLECTIVE, "collective"):
            gather_ring(b, m, ready + 1, own=own, sources=sources, to=to, pace=pace, mask=columns - 1)
        began = ready + 2 + gather_delay(m, columns)
        with b.phase(f"forward {index + 1}", FORWARD):
            ready = forward(b, m, began, layer=layer, inputs=to, sums=layout.sums[index + 1], pace=pace)
    return reduce_layer(b, layout, m, depth - 1, ready, to=layout.own[depth - 1], began=began)


def output_forward(b: Builder, layout: Layout, m: Machine, ready: int) -> tuple[int, int]:
    """The last layer forward, its all-reduce and softmax; when the output errors are ready, and the FMA is free."""
    ready = output_sums(b, layout, m, ready, own=layout.own[len(layout.layers) - 1], to=layout.own_error)
    return output_errors(b, layout, m, ready, own=layout.own_error)


def output_sums(b: Builder, layout: Layout, m: Machine, ready: int, *, own: int, to: int) -> int:
    """A core's part of the logits, from its own inputs of the last layer; returns when it is ready."""
    depth, layer, began = len(layout.layers), layout.layers[-1], ready + 1
    with b.phase(f"forward {depth}", FORWARD):
        ready = forward(b, m, began, layer=layer, inputs=own, sums=layout.sums[depth], pace=accumulators(m))
    return reduce_layer(b, layout, m, depth, ready, to=to, began=began)


def output_errors(b: Builder, layout: Layout, m: Machine, ready: int, *, own: int) -> tuple[int, int]:
    """The cores' parts of the logits added, and softmax: when the output errors are ready, and the FMA is free."""
    depth, layer = len(layout.layers), layout.layers[-1]
    columns = -(-min(layer.outputs, layer.owners) // m.pe_rows)
    pace, gathered, logits = gather_pace(m, columns, 1), layout.scratch, layout.scratch + layer.own * m.cores
    sources = [[(word, column) for column in range(columns)] for word in range(layer.own)]
    with b.phase(f"all-gather {depth}", COLLECTIVE, "collective"):
        summed = gather_ring(b, m, ready + 1, own=own, sources=sources, to=gathered, pace=pace, rotate=True)
    with b.phase(f"add {depth}", COLLECTIVE):
        for word in range(layer.own):
            summed = sum_cores(b, m, summed, gathered=gathered + word * m.cores, to=logits + word)
    with b.account("backward"):
        erred = softmax(b, m, summed, layer=layer, logits=logits)
    b.mark("softmax", BACKWARD, "collective", summed, erred)
    return erred, summed + 1 + layer.beats


def _scale(b: Builder, layout: Layout, m: Machine, start: int) -> int:
    """All inputs times the learning rate, in place but for the first layer's; what decides slopes is kept as it is."""
    depth = len(layout.layers)
    hidden = list(zip(layout.gathered[2:], layout.layers[1:-1], strict=True))
    if not layout.direct:
        for (at, layer), to in zip(hidden, layout.gates[1:], strict=True):
            start = copy(b, start, source=at, to=to, words=layer.chunk)
    regions = [(layout.new_input, layout.old_input, layout.layers[0].positions)]
    regions += [(at, at, layer.positions) for at, layer in hidden]
    regions.append((layout.own[depth - 1], layout.scaled_own, layout.layers[-2].own))
    return scale(b, m, start, regions=regions, pace=1)


def output_backward(
    b: Builder, layout: Layout, m: Machine, ready: int, *, own: int, to: int, feedback: bool = False
) -> int:
    """The last layer backward and updated, with the core's own inputs; returns when their errors are ready."""
    depth, layer = len(layout.layers), layout.layers[-1]
    with b.phase(f"backward {depth}, update {depth}", BACKWARD_UPDATE):
        return back_own(
            b,
            m,
            ready,
            own=own,
            errors=layout.scratch,
            words=layout.layers[-2].own,
            outputs=layer.outputs,
            to=to,
            through=layout.fixed(depth) if feedback else layer.weights,
            update=(layer.weights, layout.scaled_own),
        )


def _backward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """Layers L - 1 .. 2 backward and updated, then layer 1's errors spread; returns the end of the tick."""
    for index in range(len(layout.layers) - 1, 1, -1):
        layer = layout.layers[index - 1]
        ready = spread(b, layout, m, index, ready, to=layout.scratch, rate=2)
        s = Scatter(machine=m, start=ready, layer=layer, matrix=layer.weights, update=True)
        where = {"errors": layout.scratch, "to": layout.own_error}
        ready = back_scatter(b, s, scaled=layout.gathered[index], gates=layout.gates[index - 1], index=index, **where)
    return spread(b, layout, m, 1, ready, to=layout.first_error, rate=0)
