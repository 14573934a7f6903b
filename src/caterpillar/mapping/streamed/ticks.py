"""The micro-programs of a first tick, a steady tick and the last update, with weights from MEM A and core SRAM.

As in descent.py the first layer's update waits for the next sample and shares its pass; the last layer is placed and
worked on as there.
"""

from __future__ import annotations

from caterpillar.checks import CaterpillarError
from caterpillar.machine import Machine
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.buses import spread_softmax
from caterpillar.mapping.descent import output_backward, output_forward, reduce_layer
from caterpillar.mapping.feedback import direct_backward, spread
from caterpillar.mapping.isa import BACKWARD_UPDATE, COLLECTIVE, FORWARD, UPDATE, UPDATE_FORWARD, MicroProgram
from caterpillar.mapping.layout import Layout
from caterpillar.mapping.phases import scale
from caterpillar.mapping.streamed.inputs import gathered_again, gathered_inputs, old_inputs, sample_inputs, sending
from caterpillar.mapping.streamed.layout import StreamedLayout
from caterpillar.mapping.streamed.passes import Pass
from caterpillar.mapping.streamed.timing import Inputs, Timing
from caterpillar.mapping.streamed.visits import visits


def timing(
    layout: StreamedLayout,
    m: Machine,
    index: int,
    *,
    forward: bool = False,
    back: bool = False,
    update: bool = False,
    inputs: Inputs = "ring",
) -> Timing:
    """A pass through layer index."""
    layer, share = layout.layers[index - 1], layout.shares[index - 1]
    return Timing(machine=m, layer=layer, share=share, forward=forward, back=back, update=update, inputs=inputs)


def tick(layout: StreamedLayout, m: Machine, *, update: bool) -> MicroProgram:
    """A sample; update: of layer 1 with the sample before."""
    b, depth = Builder(), len(layout.layers)
    with b.phase(*(("update 1, forward 1", UPDATE_FORWARD) if update else ("forward 1", FORWARD))):
        ready = _first_layer(b, layout, m, update=update)
    for index in range(2, depth):
        ready = _forward(
            b, layout, m, index, reduce_layer(b, layout, m, index - 1, ready, to=layout.own[index - 1], began=ready)
        )
    ready = reduce_layer(b, layout, m, depth - 1, ready, to=layout.own[depth - 1], began=ready)
    erred, scaled = output_forward(b, layout, m, ready)
    with b.phase("scale", UPDATE):
        regions = [(layout.own[depth - 1], layout.scaled_own, layout.layers[-2].own)]
        scaled = scale(b, m, scaled, regions=regions, pace=1)
    with b.phase(f"spread errors {depth}", BACKWARD_UPDATE):
        outputs = layout.layers[-1].outputs
        ready = spread_softmax(b, m, max(erred, scaled), outputs=outputs, to=layout.scratch)
    if layout.direct:
        return b.program(direct_backward(b, layout, m, ready, update=_update))
    ready = output_backward(b, layout, m, ready, own=layout.own[depth - 1], to=layout.own_error)
    for index in range(depth - 1, 1, -1):
        ready = _backward(b, layout, m, index, spread(b, layout, m, index, ready, to=layout.scratch, rate=0))
    return b.program(spread(b, layout, m, 1, ready, to=layout.first_error, rate=0))


def last_update(layout: StreamedLayout, m: Machine) -> MicroProgram:
    """Update of layer 1 with the last sample."""
    b, t = Builder(), timing(layout, m, 1, update=True, inputs="none")
    p = Pass(b, t, 1 + t.period, errors=layout.first_error, sums=0)
    with b.phase("update 1", UPDATE):
        old_inputs(p, layout)
        p.weights()
    return b.program(p.end)


def _first_layer(b: Builder, layout: StreamedLayout, m: Machine, *, update: bool) -> int:
    t = timing(layout, m, 1, forward=True, update=update, inputs="sample")
    p = Pass(b, t, 1 - t.begins, errors=layout.first_error, sums=layout.sums[1])
    p.weights()
    sample_inputs(p, layout)
    return p.end


def _forward(b: Builder, layout: StreamedLayout, m: Machine, index: int, ready: int) -> int:
    t = timing(layout, m, index, forward=True)
    p = Pass(b, t, ready + 1 - t.begins, errors=0, sums=layout.sums[index])
    with b.phase(f"forward {index}", FORWARD):
        p.weights()
    with b.phase(f"all-gather {index - 1}", COLLECTIVE, "collective"):
        gathered_inputs(p, layout, index)
    return p.end


def _update(b: Builder, layout: Layout, m: Machine, index: int, start: int, *, errors: int) -> int:
    """A hidden layer past the first updated, with errors in every lane."""
    if not isinstance(layout, StreamedLayout):
        raise CaterpillarError("weights stream in a streamed layout only")
    t = timing(layout, m, index, update=True)
    p = Pass(b, t, start + sending(t) - t.begins, errors=errors, sums=0)
    with b.phase(f"update {index}", UPDATE):
        p.weights()
    with b.phase(f"all-gather {index - 1} again", COLLECTIVE, "collective"):
        gathered_again(p, layout, index, start)
    return p.end


def _backward(b: Builder, layout: StreamedLayout, m: Machine, index: int, ready: int) -> int:
    t = timing(layout, m, index, back=True, update=True)
    p = Pass(b, t, ready + sending(t) - t.begins, errors=layout.scratch, sums=0)
    with b.phase(f"backward {index}, update {index}", BACKWARD_UPDATE):
        p.weights()
    with b.phase(f"all-gather {index - 1} again, reduce-scatter {index}", COLLECTIVE, "collective"):
        erred = visits(p, gates=layout.gates[index - 1], to=layout.own_error)
        gathered_again(p, layout, index, ready)
    return erred
