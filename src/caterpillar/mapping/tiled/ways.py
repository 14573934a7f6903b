"""Ways of words over a core's row buses: from the core SRAM to MEM A and back, and round the ring.

A word a lane is a beat for each column of PEs. Beats that arrive wait in the row latches until the last has come;
"rows" locks these, "beats sent" the latch that beats are sent from, "sram", "down" and "up" what takes more than a
cycle a beat.
"""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.machine import Machine
from caterpillar.mapping.batches.plan import Need, NoRoom, Plan
from caterpillar.mapping.builder import loop
from caterpillar.mapping.isa import DOWN, FROM_DOWN, FROM_SRAM, LATCH, Loop, beat_cycles, sram_beat_cycles
from caterpillar.mapping.tiled.layout import Layout

SENT = LATCH + 1


def spacing(m: Machine, *, sram: bool, ring: bool) -> int:
    """Cycles from beat to beat of a word."""
    return max(sram_beat_cycles(m) if sram else 1, beat_cycles(m) if ring else 1)


def beats(m: Machine, at: int, *, sram: bool = False, ring: str = "") -> list[Need]:
    """What a word's beats need from cycle `at` on. ring: the direction in which they are sent."""
    sigma = spacing(m, sram=sram, ring=bool(ring))
    needs: list[Need] = [("row_bus", at, [loop(m.pe_cols, sigma)])]
    busy = loop(m.pe_cols * sigma, 1)
    needs += [("sram", at, [busy])] if sram else []
    return needs + ([(ring, at, [busy])] if ring else [])


def latched(m: Machine, sigma: int) -> int:
    """Cycles from a word's first beat until it is in the row latches."""
    return (m.pe_cols - 1) * sigma + 1


def taken(m: Machine, at: int, sigma: int, memory: str) -> list[Need]:
    """What a word that comes in from `at` on needs beside the beats: the row latches, and the memory it goes to."""
    length = latched(m, sigma)
    return [("rows", at + 1, [loop(length, 1)]), (f"mem_{memory}", at + length, [])]


def sending(m: Machine, sigma: int) -> list[Need]:
    """A word read from MEM B in cycle 0, to be sent from cycle 1 on, keeps its latch."""
    return [("mem_b", 0, []), ("beats sent", 0, [loop(latched(m, sigma) + 1, 1)])]


def send(
    p: Plan, m: Machine, loops: Sequence[Loop], earliest: int, before: int, *, sram: bool
) -> tuple[int, list[int]]:
    """When to read a word of MEM B into SENT, and when to send its beats, up the ring or to the core SRAM.

    For the core SRAM a word comes from MEM A, two cycles before, by way of MEM B.
    """
    sigma, busy = spacing(m, sram=sram, ring=not sram), "sram" if sram else "up"
    beat: list[Need] = [("row_bus", 0, []), (busy, 0, [loop(sigma, 1)])]
    needs: list[Need] = [("mem_b", 0, []), ("beats sent", 0, [])]
    needs += [("mem_a", -2, []), ("mem_b", -1, [])] if sram else []
    while True:
        read = p.free_in(needs, loops, earliest, before=before)
        cycles, at = list[int](), read + 1
        for _ in range(m.pe_cols):
            cycles.append(p.free_in(beat, loops, at, before=before + 1))
            at = cycles[-1] + sigma
        held: list[Need] = [("beats sent", 0, [loop(cycles[-1] - read, 1)])]
        try:
            p.place(held, loops, read, before=read + 1)
        except NoRoom:
            earliest = read + 1
            continue
        for cycle in cycles:
            p.place(beat, loops, cycle)
        return read, cycles


def deal(p: Plan, layout: Layout, at: int, turns: Loop, *, part: int, tile: int, slot: int, ago: int) -> None:
    """Unit `slot` of tiles tile, tile + 1, ... of layer 1's inputs in the row latches of all cores, from `at` on.

    Each core sends one unit of its own, which goes round (down). part: the sub-batch; ago: ticks since the batch came.
    """
    m, sigma = layout.machine, spacing(layout.machine, sram=True, ring=True)
    number, distance = divmod(slot, m.cores)
    send = {"row_send": DOWN} if distance < m.cores - 1 else {}
    if distance:
        loops = [turns, loop(m.pe_cols, sigma, row_to=1)]
        p.issue("row_bus", at, loops, row_from=FROM_DOWN, row_to=0, **send)
        return
    step, shared = layout.slots // m.cores * m.pe_cols, layout.slots // layout.units
    first, word = (part * layout.dealt + number) * m.pe_cols, loop(m.pe_cols, sigma, row_to=1, row_address=1)
    past = {f"row_{name}": value for name, value in layout.past(0, ago).items()}
    head = min(turns.count, -tile % shared)
    whole, rest = divmod(turns.count - head, shared)
    for done, many, each in ((0, 1, head), (head, whole, shared), (turns.count - rest, 1, rest)):
        loops = [loop(many, shared * turns.period, row_address=step), loop(each, turns.period), word]
        fields = {"row_from": FROM_SRAM, "row_to": 0, "row_address": first + (tile + done) // shared * step}
        p.issue("row_bus", at + done * turns.period, loops, **fields, **send, **past)
