"""`best` for feedback alignment, direct or not: errors go through fixed matrices; updates are passes of their own."""

from __future__ import annotations

from typing import Protocol

from caterpillar.machine import Machine
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.buses import spread_errors
from caterpillar.mapping.isa import BACKWARD, BACKWARD_UPDATE, UPDATE
from caterpillar.mapping.layout import Layout
from caterpillar.mapping.own_errors import back_own
from caterpillar.mapping.phases import update_forward
from caterpillar.mapping.scatter import Scatter
from caterpillar.mapping.scatter_pass import back_scatter
from caterpillar.mapping.sums import clear_within


class UpdatePass(Protocol):
    """An update of a layer with errors of the panel in every lane, all ready at `start`; returns when it is done."""

    def __call__(self, b: Builder, layout: Layout, m: Machine, index: int, start: int, *, errors: int) -> int:
        """W_index <- W_index - (lr h) d."""
        ...


def spread(b: Builder, layout: Layout, m: Machine, index: int, ready: int, *, to: int, rate: int) -> int:
    """Layer index's errors, which lie with its outputs or, after a reduce-scatter, with the next layer's inputs.

    Returns the cycle from which on a lane can read its own in order, one every `rate` cycles; 0: when all are there.
    """
    layer, rows = layout.layers[index - 1], m.pe_rows
    with_outputs = layout.direct or index == len(layout.layers) - 1
    if with_outputs:
        sources = [layer.source(beat, rows) for beat in range(layer.beats)]
    else:
        sources = [layout.layers[index].input_source(beat, rows) for beat in range(layer.beats)]
    with b.phase(f"spread errors {index}", BACKWARD_UPDATE if index > 1 and not layout.direct else UPDATE):
        return spread_errors(b, m, ready, layer=layer, own=layout.own_error, sources=sources, to=to, rate=rate)


def update_only(b: Builder, layout: Layout, m: Machine, index: int, start: int, *, errors: int) -> int:
    """W_l <- W_l - (lr h) d, with errors of the panel in every lane (all ready at `start`); returns when done."""
    layer, last = layout.layers[index - 1], index == len(layout.layers)
    with b.phase(f"update {index}", UPDATE):
        return update_forward(
            b,
            m,
            start,
            old=layout.scaled_own if last else layout.gathered[index],
            errors=errors,
            positions=layer.positions,
            matrix=layer.weights,
            new=None,
        )


def feedback_backward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """fa: layers L - 1 .. 2, errors through B_l, then the update; then layer 1's errors. Returns the tick's end."""
    for index in range(len(layout.layers) - 1, 1, -1):
        ready = spread(b, layout, m, index, ready, to=layout.scratch, rate=1)
        s = Scatter(machine=m, start=ready, layer=layout.layers[index - 1], matrix=layout.fixed(index), update=False)
        where = {"errors": layout.scratch, "to": layout.own_error}
        ready = back_scatter(b, s, scaled=0, gates=layout.gates[index - 1], index=index, **where)
        ready = update_only(b, layout, m, index, ready, errors=layout.scratch)
    return spread(b, layout, m, 1, ready, to=layout.first_error, rate=0)


def direct_backward(b: Builder, layout: Layout, m: Machine, ready: int, *, update: UpdatePass) -> int:
    """dfa: the output errors (being spread to scratch, the first ready) update layer L and go straight to each layer.

    update: the pass through a hidden layer. Returns the end of the tick.
    """
    depth, outputs = len(layout.layers), layout.layers[-1].outputs
    errors, last = layout.scratch, layout.layers[-1]
    with b.account("update"):
        spare = last.padded - outputs
        ready = clear_within(b, ready, ready + outputs, words=spare, to=errors + outputs)
    ready = update_only(b, layout, m, depth, ready, errors=errors)
    for index in range(depth - 1, 0, -1):
        layer = layout.layers[index - 1]
        with b.phase(f"direct backward {index}", BACKWARD):
            ready = back_own(
                b,
                m,
                ready,
                own=layout.own[index],
                errors=errors,
                words=layer.own,
                outputs=outputs,
                to=layout.own_error,
                through=layout.fixed(index),
                update=None,
            )
        to = layout.direct_error if index > 1 else layout.first_error
        ready = spread(b, layout, m, index, ready, to=to, rate=0)
        if index > 1:
            ready = update(b, layout, m, index, ready, errors=to)
    return ready
