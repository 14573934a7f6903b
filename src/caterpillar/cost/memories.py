"""A machine's memories as its prices take them: which design, and what the clock does to it."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.cost.circuits import circuits
from caterpillar.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTiming:
    """A memory against the clock: an access starts every cycle, and a word comes read_cycles after its address.

    extra_cycles: by how much the first word of a pass is later than from a memory that answers within its cycle (none
    from the micro-program store: instructions are fetched ahead).
    """

    memory: str
    design: str
    access_ns: float
    cycle_ns: float
    banks: int
    read_cycles: int
    extra_cycles: int


def memory_timings(machine: Machine, volts: float | None = None) -> list[MemoryTiming]:
    """The memories that cacti and horowitz take for a machine; arguments and errors as of circuits."""
    built = circuits(machine, volts)
    memories = {
        "MEM A": built.mem_a,
        "MEM B": built.mem_b,
        "micro-program store": built.micro_program,
        "ring queue": built.ring_queue,
        "softmax unit": built.softmax,
        "off-core SRAM": built.off_core,
    }
    return [
        MemoryTiming(
            memory=name,
            design=f"{memory.lanes} x {memory.sram}" if memory.lanes > 1 else str(memory.sram),
            access_ns=memory.sram.access_ns,
            cycle_ns=memory.sram.cycle_ns,
            banks=memory.sram.banks,
            read_cycles=memory.sram.read_cycles(machine.clock_hz),
            extra_cycles=0 if memory is built.micro_program else memory.late_cycles,
        )
        for name, memory in memories.items()
        if memory is not None
    ]
