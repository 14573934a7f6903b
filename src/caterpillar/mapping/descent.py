"""`best` for one sample at a time: the micro-programs of a first tick, a steady tick and the last update.

The first layer's update waits for the next sample and shares its read of the weights with that sample's forward; so a
steady tick updates layer 1 with the sample before, and n samples take first + (n - 1) steady + last.
"""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.feedback import direct_backward, feedback_backward
from caterpillar.mapping.isa import (
    BACKWARD,
    BACKWARD_UPDATE,
    COLLECTIVE,
    FORWARD,
    UPDATE,
    UPDATE_FORWARD,
    MicroProgram,
    accumulators,
)
from caterpillar.mapping.layout import Layout, back_unit
from caterpillar.mapping.phases import (
    back_own,
    clear,
    forward,
    gather_delay,
    gather_pace,
    gather_ring,
    input_pace,
    load_input,
    reduce_lanes,
    scale,
    softmax,
    spread_errors,
    spread_softmax,
    sum_cores,
    update_forward,
)
from caterpillar.mapping.scatter import Scatter, back_scatter


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
    ready = _output_forward(b, layout, machine, ready)
    with b.phase(f"spread errors {len(layout.layers)}", BACKWARD_UPDATE):
        ready = spread_softmax(b, machine, ready, outputs=layout.layers[-1].outputs, to=layout.scratch)
    if rule == "dfa":
        return b.program(direct_backward(b, layout, machine, ready))
    ready = _output_backward(b, layout, machine, ready, feedback=rule == "fa")
    backward = feedback_backward if rule == "fa" else _backward
    return b.program(backward(b, layout, machine, ready))


def _first_layer(b: Builder, layout: Layout, m: Machine, *, update: bool, go_forward: bool) -> int:
    layer = layout.layers[0]
    pace, start = 2 * back_unit(m), 1
    if go_forward:
        unit = pace if update else accumulators(m)
        pace = input_pace(m, unit)
        pace += pace % 2 if update else 0  # weights are read in even cycles
        with b.account("forward"):
            ready = load_input(b, m, 0, to=layout.new_input, positions=layer.positions, pace=pace)
        start = max(1, ready - 1 - m.fma_latency) if update else ready + 1
    sizes = {"positions": layer.positions, "padded": layer.padded, "address": layer.address}
    if not update:
        return forward(b, m, start, inputs=layout.new_input, sums=layout.scratch, pace=pace, **sizes)
    return update_forward(
        b,
        m,
        start,
        old=layout.old_input,
        new=layout.new_input,
        errors=layout.first_error,
        sums=layout.scratch,
        pace=pace,
        go_forward=go_forward,
        **sizes,
    )


def _reduce(b: Builder, layout: Layout, m: Machine, index: int, ready: int, *, to: int) -> int:
    layer = layout.layers[index - 1]
    with b.phase(f"reduce {index}", COLLECTIVE):
        spare = layer.blocks * m.pes_per_core - layer.padded
        ready = clear(b, ready, words=spare, to=layout.scratch + layer.padded)
        relu = index < len(layout.layers)
        return reduce_lanes(b, m, ready, sums=layout.scratch, to=to, blocks=layer.blocks, relu=relu)


def _hidden_forward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """Reduces layer 1, then gathers, multiplies and reduces layers 2 .. L - 1; own outputs of L - 1 are ready."""
    depth = len(layout.layers)
    for index in range(1, depth - 1):
        ready = _reduce(b, layout, m, index, ready, to=layout.own[index])
        before, layer = layout.layers[index - 1], layout.layers[index]
        pace, to, own = gather_pace(m, m.pe_cols, accumulators(m)), layout.gathered[index + 1], layout.own[index]
        with b.phase(f"all-gather {index}", COLLECTIVE, "collective"):
            gather_ring(b, m, ready + 1, own=own, to=to, blocks=before.blocks, columns=m.pe_cols, pace=pace)
        with b.phase(f"forward {index + 1}", FORWARD):
            ready = forward(
                b,
                m,
                ready + 2 + gather_delay(m, m.pe_cols),
                inputs=to,
                positions=layer.positions,
                padded=layer.padded,
                address=layer.address,
                sums=layout.scratch,
                pace=pace,
            )
    return _reduce(b, layout, m, depth - 1, ready, to=layout.own[depth - 1])


def _output_forward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """The last layer forward, its all-reduce and softmax, and all inputs scaled; the output errors are ready."""
    depth, layer, before = len(layout.layers), layout.layers[-1], layout.layers[-2]
    with b.phase(f"forward {depth}", FORWARD):
        ready = forward(
            b,
            m,
            ready + 1,
            inputs=layout.own[depth - 1],
            positions=layer.positions,
            padded=layer.padded,
            address=layer.address,
            sums=layout.scratch,
            pace=accumulators(m),
        )
    ready = _reduce(b, layout, m, depth, ready, to=layout.own_error)
    columns = -(-min(layer.outputs, m.pes_per_core) // m.pe_rows)
    pace = gather_pace(m, columns, 1)
    gathered, blocks = layout.scratch, layer.blocks
    with b.phase(f"all-gather {depth}", COLLECTIVE, "collective"):
        summed = gather_ring(
            b, m, ready + 1, own=layout.own_error, to=gathered, blocks=blocks, columns=columns, pace=pace, rotate=True
        )
    with b.phase("scale 1", UPDATE):
        inputs = (layout.new_input, layout.old_input, layout.layers[0].positions)
        summed = max(summed, scale(b, m, ready + 1 + blocks * pace, regions=[inputs]))
    with b.phase(f"add {depth}", COLLECTIVE):
        logits = layout.scratch + blocks * m.cores
        for t in range(blocks):
            summed = sum_cores(b, m, summed, gathered=gathered + t * m.cores, to=logits + t)
    with b.account("backward"):
        erred = softmax(b, m, summed, logits=logits, outputs=layer.outputs)
    b.mark("softmax", BACKWARD, "collective", summed, erred)
    with b.phase(f"scale 2 to {depth}", UPDATE):
        regions = [(layout.own[depth - 1], layout.scaled_own, before.blocks)]
        regions += [(at, at, layout.layers[i].positions) for i, at in enumerate(layout.gathered[2:], start=1)]
        return max(erred, scale(b, m, summed, regions=regions))


def _output_backward(b: Builder, layout: Layout, m: Machine, ready: int, *, feedback: bool) -> int:
    depth, layer = len(layout.layers), layout.layers[-1]
    with b.phase(f"backward {depth}, update {depth}", BACKWARD_UPDATE):
        return back_own(
            b,
            m,
            ready,
            own=layout.own[depth - 1],
            errors=layout.scratch,
            blocks=layout.layers[-2].blocks,
            outputs=layer.outputs,
            to=layout.own_error,
            weights=(layer.address, layer.padded, layout.scaled_own),
            feedback=(layout.feedback[depth], layer.padded) if feedback else None,
        )


def _backward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """Layers L - 1 .. 2 backward and updated, then layer 1's errors spread; returns the end of the tick."""
    depth = len(layout.layers)
    for index in range(depth - 1, 0, -1):
        layer = layout.layers[index - 1]
        words = layer.padded
        errors = layout.scratch if index > 1 else layout.first_error
        with b.phase(f"spread errors {index}", BACKWARD_UPDATE if index > 1 else UPDATE):
            ready = spread_errors(b, m, ready, own=layout.own_error, words=words, to=errors)
        if index == 1:
            return ready + words - 1
        s = Scatter(
            machine=m,
            start=ready,
            positions=layer.positions,
            blocks=layout.layers[index - 2].blocks,
            padded=layer.padded,
            update=True,
        )
        ready = back_scatter(
            b,
            s,
            scaled=layout.gathered[index],
            own=layout.own[index - 1],
            errors=errors,
            address=layer.address,
            to=layout.own_error,
            layer=index,
        )
    return ready
