"""Backward through a layer with the sums of its errors beside the products, if there is room and if that is sooner."""

from __future__ import annotations

from dataclasses import replace

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Plan
from caterpillar.mapping.isa import accumulators
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.batches.overlap import Overlap

TRIES = 24  # lengths of the free stretches that are tried


def backward_beside(p: Plan, layout: BatchLayout, m: Machine, index: int, start: int, *, before: int) -> int | None:
    """All samples through a layer, done before cycle `before`; returns when all is, or None where there is no room."""
    layer, groups = layout.layers[index - 1], layout.words(layout.layers[index - 1].beats)
    if 3 * groups > m.pe_registers:
        return None
    additions = groups * max(1, layout.rows - 1) + layer.beats
    least = -(-additions // (layer.chunk // accumulators(m)))
    few, saved = replace(layout, batch=min(layout.batch, 3)), p.save()
    for gap in range(least, least + TRIES):
        one = Overlap(p=p, layout=layout, machine=m, index=index, gap=gap)
        if start + layout.batch * one.period + one.step >= before:
            break
        late = _late(replace(one, layout=few))
        done = None if late is None else one.tried(start, late)[0]
        if done is not None and done < before:
            return done
        p.restore(saved)
    return None


def _late(one: Overlap) -> int | None:
    """By how many stretches of positions the ring's beats must come later; None: there is no room for all."""
    done, late = replace(one, p=Plan()).tried(0, 0)
    if done is None and late:
        done, late = replace(one, p=Plan()).tried(0, late)
    return None if done is None else late
