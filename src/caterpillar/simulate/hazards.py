"""Walks the control words of micro-programs: rejects what the hardware could not do, counts what it does.

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
from caterpillar.simulate import codes as c
from caterpillar.simulate.cycles import at_end, go_on

SENTENCES = {
    c.NOT_READY: "{unit} reads {operand} before it is ready (ready in cycle {detail})",
    c.NO_RESULT: "{unit} takes the FMA's result, and none comes out",
    c.NO_SUCH_OPERAND: "{unit} names operand {detail}, which this machine has not",
    c.ADDRESS: "{unit} is given address {detail}, outside its memory",
    c.QUEUE_EMPTY: "{unit} takes a beat off the ring, and none has arrived",
    c.QUEUE_FULL: "{unit} sends a beat on the ring to a core whose queue is full",
    c.RING_BUSY: "{unit} sends on a ring link that is busy until cycle {detail}",
    c.LINK_BUSY: "{unit} starts an exchange while the links are busy until cycle {detail}",
    c.SRAM_BUSY: "{unit} reads the core SRAM, which is busy until cycle {detail}",
    c.SOFTMAX_NOT_READY: "{unit} reads the softmax unit before it is ready (ready in cycle {detail})",
    c.SOFTMAX_BUSY: "{unit} gives the softmax unit something to do while it works, until cycle {detail}",
    c.IN_FLIGHT_AT_END: "{unit}: results are still in flight when the program ends, until cycle {detail}",
    c.BEATS_AT_END: "{unit}: beats are left in a core's queue when the program ends",
    c.TWO_WRITERS: "{unit} writes {operand}, which another result in flight will write until cycle {detail}",
}
TIMES = {
    c.NOT_READY,
    c.RING_BUSY,
    c.LINK_BUSY,
    c.SRAM_BUSY,
    c.SOFTMAX_NOT_READY,
    c.SOFTMAX_BUSY,
    c.IN_FLIGHT_AT_END,
    c.TWO_WRITERS,
}  # whose detail is a cycle
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
    return SENTENCES[c.ADDRESS].format(unit=unit, detail=address)


class Walk:
    """The ticks of a run, one after the other: what one leaves under way, the next one finds so.

    Between ticks results of the FMA must be out and queues of the ring empty; links, the core SRAM and the softmax unit
    may still be busy. Latches, registers and accumulators keep what they hold: stale, but legal to read.
    members: the numbers of each group's cores; none given: all run one program. sram_beats: beats of core SRAM that may
    be named. copies: as Schedule has them.
    """

    def __init__(
        self,
        machine: Machine,
        members: Sequence[Sequence[int]] | None = None,
        *,
        sram_beats: int = 0,
        copies: int = 1,
    ) -> None:
        self._machine, self._members = machine, members or [list(range(machine.cores))]
        self._given = _sizes(machine, sram_beats, copies), _hops(machine), softmax_cycles(machine)
        groups = len(self._members)
        self._states = np.zeros((groups, c.STATE_WORDS), np.int64)
        self._states[:, c.SOFTMAX_READY] = c.NEVER
        ready = np.full((groups, SLOTS), c.NEVER, np.int64)  # first cycle in which a slot holds something
        pending = np.zeros((groups, SLOTS), np.int64)  # an FMA result is on its way into the slot until then
        result_at = np.full((groups, c.RESULTS), -1, np.int64)  # the cycles of the last results' issues
        self._operands = ready, pending, result_at
        flow, arrivals = np.zeros((2, 2, machine.cores), np.int64), np.zeros((2, machine.cores, c.ARRIVALS), np.int64)
        self._queues = _ring(self._members, machine.cores), flow, arrivals
        self._start = 0

    def tick(self, stretches: Iterable[Control]) -> Counters:
        """Check a tick's micro-programs, stretches of control words (groups, cycles, fields), and count on all cores.

        Raises Hazard, with the cycle of the tick.
        """
        self._start = int(self._states[0, c.CYCLE])
        events = np.zeros((len(self._members), len(c.EVENTS)), np.int64)
        for controls in stretches:
            self._refuse(*go_on(controls, *self._given, events, self._states, *self._operands, *self._queues))
        ring, flow, _ = self._queues
        self._refuse(*at_end(self._states, ring, flow))
        events *= np.array([len(some) for some in self._members])[:, None]  # of one core each, so far
        total = events.sum(axis=0)
        total[c.E_PE] = self._machine.pes * (self._states[0, c.CYCLE] - self._start)
        return Counters(**{name: int(total[index]) for name, index in c.EVENT.items()})

    def _refuse(self, group: int, code: int, cycle: int, unit: int, operand: int, detail: int) -> None:
        if not code:
            return
        name, said = UNITS[unit], int(detail)
        if code in TIMES:
            said = "never" if detail >= c.NEVER else said - self._start
        what = SENTENCES[code].format(unit=name, operand=operand_name(operand), detail=said)
        where = "every core" if len(self._members) == 1 else f"core {self._members[group][0]}"
        after = ", in a tick after another" if self._start else ""
        raise Hazard(cycle=int(cycle) - self._start, unit=name, what=what, where=where + after)


def _sizes(machine: Machine, sram_beats: int, copies: int) -> np.ndarray:
    """In the order of codes.A_WORDS, ..."""
    return np.array(
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


def _hops(machine: Machine) -> np.ndarray:
    bits = machine.pes_per_core.bit_length() - 1
    return np.array([isa.link_hops(machine, bit) for bit in range(bits)] or [1], np.int64)


def softmax_cycles(machine: Machine) -> np.ndarray:
    """Cycles from the softmax unit's start, by how many logits it has."""
    return np.array([isa.softmax_cycles(machine, n) for n in range(isa.SOFTMAX_OUTPUTS + 1)], np.int64)


def _ring(members: Sequence[Sequence[int]], cores: int) -> np.ndarray:
    """Of each core in turn: its group, its number, those of the cores below and above.

    Where all run one program, one stands for all, and is its own neighbour.
    """
    if len(members) == 1:
        return np.zeros((1, 4), np.int64)
    found = [(group, core) for group, some in enumerate(members) for core in some]
    return np.array([(group, core, (core - 1) % cores, (core + 1) % cores) for group, core in found], np.int64)
