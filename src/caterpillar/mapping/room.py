"""What a placement needs of a machine's memories, and the first of them that is too small for it."""

from __future__ import annotations

from collections.abc import Mapping

from caterpillar.checks import Infeasible
from caterpillar.machine import WORD_BYTES, Machine
from caterpillar.mapping.encoding import BITS
from caterpillar.mapping.isa import FIFO_BEATS, QUEUES

MEM_A, MEM_B, REGISTERS = "MEM A of a PE", "MEM B of a PE", "the register file of a PE"
SRAM, QUEUE, ADDRESSES = "the SRAM of a core", "the ring's receive queue", "a core's address registers"

HINTS = {
    MEM_A: "raise pe_sram_bytes or the number of cores",
    MEM_B: "raise pe_mem_b_bytes or the number of cores",
    REGISTERS: "raise pe_registers",
    SRAM: "raise core_sram_bytes",
    QUEUE: "raise the number of cores or of PEs",
    ADDRESSES: "take fewer layers",
}


def too_small(machine: Machine, needs: Mapping[str, int], hints: Mapping[str, str] | None = None) -> Infeasible | None:
    """The first of the memories, in their order, that has fewer words than are needed; None if all have enough.

    needs: words by memory. hints: what would help, where it is not what HINTS say.
    """
    beat = machine.pe_rows * WORD_BYTES
    has = {
        MEM_A: machine.pe_sram_bytes,
        MEM_B: machine.pe_mem_b_bytes,
        REGISTERS: machine.pe_registers * WORD_BYTES,
        SRAM: min(machine.core_sram_bytes, beat << BITS["row_address"]),
        QUEUE: FIFO_BEATS * beat,
        ADDRESSES: QUEUES * WORD_BYTES,
    }
    told = HINTS | dict(hints or {})
    for what, words in needs.items():
        if words * WORD_BYTES > has[what]:
            return Infeasible(what=what, needs_bytes=words * WORD_BYTES, has_bytes=has[what], hint=told[what])
    return None
