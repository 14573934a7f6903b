"""Numbers by which compiled code and hazards.py name what is wrong, what is counted and what is under way."""

from __future__ import annotations

from caterpillar.counters import Counters
from caterpillar.mapping import isa

(
    NOT_READY,
    NO_RESULT,
    NO_SUCH_OPERAND,
    ADDRESS,
    QUEUE_EMPTY,
    QUEUE_FULL,
    RING_BUSY,
    LINK_BUSY,
    SRAM_BUSY,
    SOFTMAX_NOT_READY,
    SOFTMAX_BUSY,
    IN_FLIGHT_AT_END,
    BEATS_AT_END,
    TWO_WRITERS,
) = range(1, 15)
EVENTS = Counters.names()
EVENT = {name: index for index, name in enumerate(EVENTS)}
NEVER = 1 << 40

# What a group's units are about, besides operands: the cycle, of the whole run; the last in which a result is in
# flight; when a ring link, the core SRAM, the neighbour links are free again, and when the softmax unit has its results
# and is free. On the ring: beats sent to each core, and taken by it.
CYCLE, FLIGHT, RING_FREE, SRAM_FREE, LINK_FREE, SOFTMAX_READY = 0, 1, 2, 4, 5, 6
STATE_WORDS = 7
SENT, TAKEN = 0, 1
RESULTS, ARRIVALS = 32, 2 * isa.FIFO_BEATS  # more than the FMA's longest latency; than a queue holds

# What is given of the machine.
A_WORDS, B_WORDS, LATENCY, ACCUMULATORS, REGISTERS, BEAT, SRAM_BEAT, ROWS, COLUMNS, CORES, GROUP, BEATS = range(12)
U_A, U_B0, U_B1, U_FMA, U_ROW, U_COLUMN, U_LINK, U_SOFTMAX = range(8)

E_FMA, E_AR, E_AW, E_BR, E_BW, E_RR, E_RW = (
    EVENT[name]
    for name in (
        "fma",
        "pe_sram_read_words",
        "pe_sram_write_words",
        "mem_b_read_words",
        "mem_b_write_words",
        "register_reads",
        "register_writes",
    )
)
E_ROW, E_COLUMN, E_LINK, E_RING, E_CORE_R, E_CORE_W, E_SOFTMAX, E_PE = (
    EVENT[name]
    for name in (
        "row_bus_words",
        "column_bus_words",
        "neighbour_words",
        "ring_word_hops",
        "core_sram_read_words",
        "core_sram_write_words",
        "activation_words",
        "pe_cycles",
    )
)
