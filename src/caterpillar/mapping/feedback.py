"""`best` for feedback alignment, direct or not: errors go through fixed matrices; updates are passes of their own."""

from __future__ import annotations

from caterpillar.machine import Machine
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.isa import BACKWARD, BACKWARD_UPDATE, UPDATE
from caterpillar.mapping.layout import Layout, back_unit
from caterpillar.mapping.phases import back_own, clear, spread_errors, update_forward
from caterpillar.mapping.scatter import Scatter, back_scatter


def update_only(b: Builder, layout: Layout, m: Machine, index: int, start: int, *, errors: int) -> int:
    """W_l <- W_l - (lr h) d, with errors of the panel in every lane (all ready at `start`); returns when done."""
    layer, last = layout.layers[index - 1], index == len(layout.layers)
    with b.phase(f"update {index}", UPDATE):
        return update_forward(
            b,
            m,
            start,
            old=layout.scaled_own if last else layout.gathered[index],
            new=0,
            errors=errors,
            positions=layer.positions,
            padded=layer.padded,
            address=layer.address,
            sums=0,
            pace=2 * back_unit(m),
            go_forward=False,
        )


def feedback_backward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """fa: layers L - 1 .. 2, errors through B_l, then the update; then layer 1's errors. Returns the tick's end."""
    for index in range(len(layout.layers) - 1, 0, -1):
        layer = layout.layers[index - 1]
        errors = layout.scratch if index > 1 else layout.first_error
        with b.phase(f"spread errors {index}", BACKWARD_UPDATE if index > 1 else UPDATE):
            ready = spread_errors(b, m, ready, own=layout.own_error, words=layer.padded, to=errors)
        if index == 1:
            return ready + layer.padded - 1
        blocks = layout.layers[index - 2].blocks
        s = Scatter(machine=m, start=ready, positions=layer.positions, blocks=blocks, padded=layer.padded, update=False)
        ready = back_scatter(
            b,
            s,
            scaled=0,
            own=layout.own[index - 1],
            errors=errors,
            address=layout.feedback[index],
            to=layout.own_error,
            layer=index,
        )
        ready = update_only(b, layout, m, index, ready, errors=errors)
    return ready


def direct_backward(b: Builder, layout: Layout, m: Machine, ready: int) -> int:
    """dfa: the output errors (being spread to scratch, the first ready) update layer L and go straight to each layer.

    Returns the end of the tick.
    """
    depth, outputs = len(layout.layers), layout.layers[-1].outputs
    errors, last = layout.scratch, layout.layers[-1]
    with b.account("update"):
        ready = clear(b, ready + outputs, words=last.padded - outputs, to=errors + outputs)
    ready = update_only(b, layout, m, depth, ready, errors=errors)
    for index in range(depth - 1, 0, -1):
        layer = layout.layers[index - 1]
        with b.phase(f"direct backward {index}", BACKWARD):
            feedback = (layout.feedback[index], outputs)
            ready = back_own(
                b,
                m,
                ready,
                own=layout.own[index],
                errors=errors,
                blocks=layer.blocks,
                outputs=outputs,
                to=layout.own_error,
                weights=None,
                feedback=feedback,
            )
        to = layout.direct_error if index > 1 else layout.first_error
        with b.phase(f"spread errors {index}", UPDATE):
            ready = spread_errors(b, m, ready, own=layout.own_error, words=layer.padded, to=to)
        if index > 1:
            ready = update_only(b, layout, m, index, ready + layer.padded, errors=to)
    return ready + layout.layers[0].padded - 1
