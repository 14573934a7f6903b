"""A batch's tick: each layer for all its samples before the next; a weight is updated once, with their mean."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Plan
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.paper.batches.backward import backward_layer
from caterpillar.mapping.paper.batches.direct import direct_layer
from caterpillar.mapping.paper.batches.forward import forward_layer, last_layer
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.batches.update import update_layer


def batch_tick(layout: BatchLayout, m: Machine) -> MicroProgram:
    """The micro-program of a batch; the next begins when it has ended."""
    b, depth, ready = Plan(), len(layout.layers), 0
    for index in range(1, depth):
        ready = forward_layer(b, layout, m, index, ready)
    ready = last_layer(b, layout, m, ready)
    for index in range(depth, 0, -1):
        if layout.direct and index < depth:
            ready = direct_layer(b, layout, m, index, ready)
        if not layout.direct and index > 1:
            ready = backward_layer(b, layout, m, index, ready)
        ready = update_layer(b, layout, m, index, ready)
    return b.program(ready)
