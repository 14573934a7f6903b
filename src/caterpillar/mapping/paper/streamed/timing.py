"""The times of a pass over the positions of a layer whose weights stream, in cycles from a position's beginning.

A position begins with a beat of inputs on the row buses. Then come slots. In a slot a streamed sum's N beats come from
core SRAM, one a column; when all are there, the FMA takes them off the row latches. Beside it is a resident turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product

from caterpillar.machine import Machine
from caterpillar.mapping.isa import sram_beat_cycles
from caterpillar.mapping.paper.streamed.layout import StreamedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """gap: of the first streamed beat. first: of the first multiply-add; beside: from a streamed to the resident one of
    its slot. spread: cycles of a streamed sum's beats. out: from a beat to its updated weight's on the way back; early:
    cycles before that in which the first of them is read. scale: of an input times the learning rate, for the next
    position; load: of the read of this one's.
    """

    slot: int
    gap: int
    period: int
    first: int
    beside: int
    spread: int
    out: int = 0
    early: int = 0
    scale: int = 0
    load: int = 0


def forward_timing(layer: StreamedLayer, m: Machine) -> Timing:
    """Of the pass that adds up outputs. A sum is in MEM B between its turns."""
    beat, streams = sram_beat_cycles(m), layer.streamed > 0
    wait = (m.pe_rows - 1) * beat + 1 if streams else 0
    slot = max(m.pe_rows * beat if streams else 1, 2 if layer.mixed else 1)
    gap = max(beat, 4 - wait)
    return Timing(
        slot=slot,
        gap=gap,
        period=max(gap + layer.slots * slot, m.fma_latency + 2),
        first=gap + wait,
        beside=1 if streams else 0,
        spread=m.pe_rows * beat,
    )


def update_timing(layer: StreamedLayer, m: Machine, *, back: bool) -> Timing:
    """Of the pass that updates, and (back) adds up the errors of inputs: the shortest in which no unit is wanted twice.

    back: a turn's second multiply-add is a cycle after its first; all are added to one sum, a latency apart.
    """
    beat, latency = sram_beat_cycles(m), m.fma_latency
    apart, spread = max(latency, 2), m.pe_rows * beat
    least = 2 * spread if layer.streamed else 1
    if layer.resident:
        least = max(least, latency + 2)
    if back:
        least = max(least, 2 * apart if layer.mixed else apart)
    soonest = max(0, latency + 3 - beat)  # cycles by which an updated weight is too late for the next beats
    if layer.streamed:
        least = max(least, soonest)
    wait = (m.pe_rows - 1) * beat + 1 if layer.streamed else 0
    beside = (apart if back else 1) if layer.streamed else 0
    for slot in count(least):
        early = range(slot - spread + beat if layer.streamed else 1)
        gaps, outs = range(beat, beat + latency + 3), (spread + slot,) if soonest else (spread, spread + slot)
        for out, gap in product(outs, gaps):
            for scale, one_early in product(range(1, gap + 1), early):
                one = Timing(
                    slot=slot,
                    gap=gap,
                    period=gap + layer.slots * slot,
                    first=gap + wait,
                    beside=beside,
                    spread=spread,
                    out=out,
                    early=one_early,
                    scale=scale,
                    load=min(gap + wait - 1, scale + latency),
                )
                if _fits(one, layer, latency, back=back):
                    return one
    raise AssertionError("a slot that is long enough for all")


def _fits(t: Timing, layer: StreamedLayer, latency: int, *, back: bool) -> bool:
    streamed = [t.first + k * t.slot for k in range(layer.streamed)]
    resident = [t.first + t.beside + k * t.slot for k in range(layer.resident)]
    updates, outs = [*streamed, *resident], list(out_times(t, layer))
    adds = [*updates, *(at + 1 for at in updates if back), t.scale]
    reads = [*(at - 1 for at in updates), t.load]
    ready = [at + latency for at in streamed]
    others = [*ready, *(at - 1 - t.early for at in outs), t.scale + latency]
    if back:
        others.append(max(updates) + 1 + latency)
    if not all(at < out - 1 - t.early < at + t.period for out, at in zip(outs, ready, strict=True)):
        return False
    if t.scale + latency >= t.load + t.period or max(updates) - t.period > t.load:
        return False
    return all(len({at % t.period for at in times}) == len(times) for times in (adds, reads, others))


def out_times(t: Timing, layer: StreamedLayer) -> Iterator[int]:
    """When each updated weight's first beat goes back, past the gap between positions where it must."""
    for k in range(layer.streamed):
        wraps = t.out > t.spread and k == layer.slots - 1
        yield t.gap + k * t.slot + t.out + (t.gap if wraps else 0)
