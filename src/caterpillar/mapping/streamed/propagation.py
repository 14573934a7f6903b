"""The micro-program of a tick of continuous propagation, with weights from MEM A and core SRAM.

Layer after layer, each on another sample: its errors, made in the tick before, are spread to the lanes; a pass sends
them back, updates, and goes forward, every weight read and written once; its sums are added over the lanes. The last
layer begins with the logits of the tick before, so that its output errors need not wait.
"""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.buses import spread_errors, spread_softmax
from caterpillar.mapping.descent import output_backward, output_errors, output_sums, reduce_layer
from caterpillar.mapping.isa import BACKWARD_UPDATE, COLLECTIVE, UPDATE, UPDATE_FORWARD, Kinds, MicroProgram
from caterpillar.mapping.phases import copy, scale
from caterpillar.mapping.streamed.inputs import sample_inputs
from caterpillar.mapping.streamed.keeping import gather_old_inputs, keep_inputs, keep_own, kept_inputs, load_inputs
from caterpillar.mapping.streamed.passes import Pass
from caterpillar.mapping.streamed.timing import Timing
from caterpillar.mapping.streamed.visits import visits
from caterpillar.mapping.streamed.waiting import WaitingLayout

ALL: Kinds = ("backward", "update", "forward")


def cp_timing(layout: WaitingLayout, m: Machine, index: int) -> Timing:
    """The pass through a hidden layer."""
    return Timing(
        machine=m,
        layer=layout.layers[index - 1],
        share=layout.shares[index - 1],
        forward=True,
        back=index > 1,
        update=True,
        inputs="both" if index > 1 else "sample",
    )


def cp_tick(layout: WaitingLayout, m: Machine) -> MicroProgram:
    """All layers."""
    b, depth = Builder(), layout.depth
    with b.phase("gather old inputs", COLLECTIVE, "collective"):
        ready = gather_old_inputs(b, layout, m, 0)
    for index in range(1, depth):
        ready = _spread(b, layout, m, index, ready)
        ready = _first_pass(b, layout, m, ready) if index == 1 else _pass(b, layout, m, index, ready)
        ready = reduce_layer(b, layout, m, index, ready, to=layout.own[index], began=ready)
        with b.phase(f"keep {index}", COLLECTIVE, "collective"):
            if index == 1:
                ready = keep_inputs(b, layout, m, ready)
            if index < depth - 1:
                ready = keep_own(b, layout, m, index, ready)
    return b.program(_last_layer(b, layout, m, ready))


def _spread(b: Builder, layout: WaitingLayout, m: Machine, index: int, ready: int) -> int:
    layer, rows = layout.layers[index - 1], m.pe_rows
    if index == layout.depth - 1:
        sources = [layer.source(beat, rows) for beat in range(layer.beats)]
    else:
        sources = [layout.layers[index].input_source(beat, rows) for beat in range(layer.beats)]
    with b.phase(f"spread errors {index}", BACKWARD_UPDATE if index > 1 else UPDATE):
        own, to = layout.own_errors[index], layout.scratch
        return spread_errors(b, m, ready, layer=layer, own=own, sources=sources, to=to, rate=0)


def _first_pass(b: Builder, layout: WaitingLayout, m: Machine, ready: int) -> int:
    t = cp_timing(layout, m, 1)
    p = Pass(b, t, ready + 1 - t.begins, errors=layout.scratch, sums=layout.sums[1])
    with b.phase("update 1, forward 1", UPDATE_FORWARD):
        p.weights()
        sample_inputs(p, layout)
    return p.end


def _pass(b: Builder, layout: WaitingLayout, m: Machine, index: int, ready: int) -> int:
    t = cp_timing(layout, m, index)
    sending = 2 * t.layer.chunk * t.span + t.pace
    p = Pass(b, t, ready + sending - t.begins, errors=layout.scratch, sums=layout.sums[index])
    with b.phase(f"backward {index}, update {index}, forward {index}", ALL):
        p.weights()
    with b.phase(f"all-gathers {index - 1}, reduce-scatter {index}", COLLECTIVE, "collective"):
        kept_inputs(p, layout, index, ready)
        erred = visits(p, gates=layout.gates[0], to=layout.own_errors[index - 1])
        load_inputs(p, layout)
    return max(p.end, erred)


def _last_layer(b: Builder, layout: WaitingLayout, m: Machine, ready: int) -> int:
    """Errors of the sample whose logits the tick before made; then its inputs of that tick go forward."""
    depth, outputs, own = layout.depth, layout.layers[-1].outputs, layout.layers[-2].own
    newest, middle, oldest = layout.recent
    erred, free = output_errors(b, layout, m, ready, own=layout.logits)
    with b.phase("scale", UPDATE):
        free = scale(b, m, free, regions=[(oldest, layout.scaled_own, own)], pace=1)
    with b.phase(f"spread errors {depth}", BACKWARD_UPDATE):
        ready = spread_softmax(b, m, max(erred, free), outputs=outputs, to=layout.scratch)
    output_backward(b, layout, m, ready, own=oldest, to=layout.own_errors[depth - 1])
    ready = output_sums(b, layout, m, b.end, own=middle, to=layout.logits)
    with b.phase("move on", COLLECTIVE):
        ready = copy(b, ready, source=middle, to=oldest, words=own)
        return copy(b, ready, source=newest, to=middle, words=own)
