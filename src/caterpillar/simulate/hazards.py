"""Walks the control words of micro-programs once: rejects what the hardware could not do, counts what it does.

Control does not depend on data and is the same for all PEs of a core, so one walk holds for all of them, and for all
cores of a group. Only on the ring must a core's beats come when its neighbour takes them: groups are walked together.
"""

# pyright: basic

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from caterpillar.checks import CaterpillarError
from caterpillar.counters import Counters
from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.isa import SLOTS, Control
from caterpillar.simulate.cycles import (
    ADDRESS,
    ARRIVALS,
    CYCLE,
    E_PE,
    EVENT,
    EVENTS,
    IN_FLIGHT_AT_END,
    LINK_BUSY,
    NEVER,
    NO_RESULT,
    NO_SUCH_OPERAND,
    NOT_READY,
    QUEUE_EMPTY,
    QUEUE_FULL,
    RESULTS,
    RING_BUSY,
    SOFTMAX_NOT_READY,
    SOFTMAX_READY,
    SRAM_BUSY,
    STATE_WORDS,
    TWO_WRITERS,
    at_end,
    go_on,
)

SENTENCES = {
    NOT_READY: "{unit} reads {operand} before it is ready (ready in cycle {detail})",
    NO_RESULT: "{unit} takes the FMA's result, and none comes out",
    NO_SUCH_OPERAND: "{unit} names operand {detail}, which this machine has not",
    ADDRESS: "{unit} is given address {detail}, outside its memory",
    QUEUE_EMPTY: "{unit} takes a beat off the ring, and none has arrived",
    QUEUE_FULL: "{unit} sends a beat on the ring to a core whose queue is full",
    RING_BUSY: "{unit} sends on a ring link that is busy until cycle {detail}",
    LINK_BUSY: "{unit} starts an exchange while the links are busy until cycle {detail}",
    SRAM_BUSY: "{unit} reads the core SRAM, which is busy until cycle {detail}",
    SOFTMAX_NOT_READY: "{unit} reads the softmax unit before it is ready (ready in cycle {detail})",
    IN_FLIGHT_AT_END: "{unit}: results are still in flight when the program ends, until cycle {detail}",
    TWO_WRITERS: "{unit} writes {operand}, which another result in flight will write until cycle {detail}",
}
UNITS = tuple(isa.UNITS)


class Hazard(CaterpillarError):
    """A micro-program asks for what the hardware cannot do; says the cycle and the place."""

    def __init__(self, *, cycle: int, unit: str, what: str, where: str = "every core") -> None:
        super().__init__(f"cycle {cycle}, {unit} of {where}: {what}")
        self.cycle = cycle
        self.unit = unit


def operand_name(code: int) -> str:
    """How an operand code is called."""
    if code >= isa.HALF:
        return f"word {code - isa.HALF} of MEM A's group" if code < isa.STAGED else f"write latch {code - isa.STAGED}"
    if code >= isa.REGISTER:
        return f"register {code - isa.REGISTER}"
    if code >= isa.ACCUMULATOR:
        return f"accumulator {code - isa.ACCUMULATOR}"
    names = {isa.MEM_A: "MEM A's latch", isa.ROW: "the row latch", isa.COLUMN: "the column latch"}
    names[isa.LINK] = "the link latch"
    return names.get(code, f"latch {code - isa.LATCH}" if isa.LATCH <= code < isa.ROW else f"operand {code}")


def at_address(unit: isa.Unit, address: int) -> str:
    """The sentence for an address that does not exist."""
    return SENTENCES[ADDRESS].format(unit=unit, detail=address)


def walk(stretches: Iterable[Control], machine: Machine, *, warm: bool, sram_beats: int = 0) -> Counters:
    """Check a micro-program that all cores run, given as stretches of control words. See walk_groups."""
    alone = [list(range(machine.cores))]
    return walk_groups((one[None] for one in stretches), machine, alone, warm=warm, sram_beats=sram_beats)


def walk_groups(
    stretches: Iterable[Control],
    machine: Machine,
    members: Sequence[Sequence[int]],
    *,
    warm: bool,
    sram_beats: int = 0,
    copies: int = 1,
) -> Counters:
    """Check groups' micro-programs, given as stretches of control words, and count events on all cores. Raises Hazard.

    stretches: (groups, cycles, fields). members: the numbers of each group's cores.
    warm: another micro-program has run before, so latches and registers hold something (stale, but legal to read).
    sram_beats: beats of core SRAM that may be named. copies: as Schedule has them.
    """
    sizes = np.array(
        [
            machine.pe_sram_words,
            machine.pe_mem_b_bytes // 2,
            machine.fma_latency,
            isa.accumulators(machine),
            machine.pe_registers,
            isa.beat_cycles(machine),
            isa.sram_beat_cycles(machine),
            machine.pe_rows,
            machine.pe_cols,
            machine.cores // copies,
            isa.halves(machine),
            sram_beats,
        ],
        np.int64,
    )
    bits = max(1, machine.pes_per_core.bit_length() - 1)
    hops = np.array([isa.link_hops(machine, bit) for bit in range(bits)] if machine.pes_per_core > 1 else [1], np.int64)
    softmax = np.array([isa.softmax_cycles(machine, n) for n in range(isa.SOFTMAX_OUTPUTS + 1)], np.int64)
    groups = len(members)
    events, states = np.zeros((groups, len(EVENTS)), np.int64), np.zeros((groups, STATE_WORDS), np.int64)
    ready = np.full((groups, SLOTS), 0 if warm else NEVER, np.int64)  # first cycle in which a slot holds something
    pending = np.zeros((groups, SLOTS), np.int64)  # an FMA result is on its way into the slot until then
    result_at = np.full((groups, RESULTS), -1, np.int64)  # the cycles of the last results' issues
    ring = _ring(members, machine.cores)
    flow, arrivals = np.zeros((2, 2, machine.cores), np.int64), np.zeros((2, machine.cores, ARRIVALS), np.int64)
    states[:, SOFTMAX_READY] = NEVER
    for controls in stretches:
        found = go_on(controls, sizes, hops, softmax, events, states, ready, pending, result_at, ring, flow, arrivals)
        _refuse(members, *found)
    _refuse(members, *at_end(states, ring, flow))
    events *= np.array([len(some) for some in members])[:, None]  # of one core each, so far
    total = events.sum(axis=0)
    total[E_PE] = machine.pes * states[0, CYCLE]
    return Counters(**{name: int(total[index]) for name, index in EVENT.items()})


def _ring(members: Sequence[Sequence[int]], cores: int) -> np.ndarray:
    """Of each core in turn: its group, its number, those of the cores below and above.

    Where all run one program, one stands for all, and is its own neighbour.
    """
    if len(members) == 1:
        return np.zeros((1, 4), np.int64)
    found = [(group, core) for group, some in enumerate(members) for core in some]
    return np.array([(group, core, (core - 1) % cores, (core + 1) % cores) for group, core in found], np.int64)


def _refuse(members: Sequence[Sequence[int]], group: int, code: int, cycle: int, unit: int, operand: int, detail: int):
    if code:
        name = UNITS[unit]
        what = SENTENCES[code].format(unit=name, operand=operand_name(operand), detail=detail)
        where = "every core" if len(members) == 1 else f"core {members[group][0]}"
        raise Hazard(cycle=int(cycle), unit=name, what=what, where=where)
