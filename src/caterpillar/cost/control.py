"""What the control word (mapping.isa, docs/machine.md) asks of a core and of its PEs, in bits and bits a cycle.

A core's sequencers step through micro-programs and send out the fields that PEs obey; a PE latches them. A field of a
unit that idles is held, and a latch is clocked when its field changes; on and op fields are latched every cycle.
Activity is that of steady ticks of 784-500-500-500-10 on paper-a as executed (tests/cost/test_control.py measures it):
value: sgd. low: the least of sgd, fa and dfa. high: said at each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caterpillar.mapping.isa import MicroProgram

# Fields that only the core's own units obey, and those that say whether a unit does something.
ADDRESS_REGISTERS = tuple(f"{port}_{field}" for port in ("a", "b0", "b1", "row") for field in ("queue", "lag"))
CORE_FIELDS = ("row_from", "row_send", "row_address", "softmax_on", "softmax_label", *ADDRESS_REGISTERS)
SWITCHES = ("a_op", "b0_op", "b1_op", "fma", "column_on", "link_on")

CHANGED_BITS = (48.5, 59.9, 229.0)  # bits of PEs' fields that change, a cycle; high: all are clocked, none is gated
TOGGLES = (
    12.1,
    17.9,
    21.2,
)  # bits of PEs' fields that differ from the cycle before; high: an idle unit's are 0, in sgd
ISSUES = (2.16, 2.44, 8.0)  # units of a core that are told something, a cycle; high: all
FETCHES = (0.0755, 0.174, 1.0)  # instructions taken from the store, a cycle; high: one

# The sgd tick has 929 instructions of 56 bits: fields, start, and for each loop count, period and steps.
STORE_BYTES = 8192
STORE_WORD_BITS = 64
# Sequencers of a core, our design: three nested loops a unit, each a count and a period, besides the fields.
LOOPS, LOOP_BITS = 3, 2 * 13
START_BITS = 13
SUMS_AN_ISSUE = 3  # a count and two fields step
CLOCKED_BITS_AN_ISSUE = 48


@cache
def pe_word_bits() -> int:
    """Bits of the control word that PEs obey."""
    from caterpillar.mapping.encoding import BITS, WORD_BITS  # numpy is slow to import

    return WORD_BITS - sum(BITS[field] for field in CORE_FIELDS)


@cache
def switch_bits() -> int:
    """Bits of a PE's on and op fields, which are latched every cycle."""
    from caterpillar.mapping.encoding import BITS

    return sum(BITS[field] for field in SWITCHES)


@cache
def sequencer_bits() -> int:
    """Flip-flops of a core's sequencers: the whole control word, the state of the loops, the address registers.

    An address register holds the words of its stretch, the slot it is at, and how many there are.
    """
    from caterpillar.mapping.encoding import BITS, WORD_BITS
    from caterpillar.mapping.isa import QUEUES, UNITS

    register_bits = BITS["a_address"] + 2 * BITS["a_lag"]
    return WORD_BITS + len(UNITS) * LOOPS * LOOP_BITS + QUEUES * register_bits


def program_bytes(program: MicroProgram) -> int:
    """What a micro-program takes in the store: an instruction's fields and start, a loop's count, period and steps.

    Where groups of cores run different programs, of the longest: all cores have the same store.
    """
    if program.others:
        return max(program_bytes(replace(one, others=(), group_of=())) for one in program.groups)
    from caterpillar.mapping.encoding import BITS

    bits = 0
    for one in program.instructions:
        bits += START_BITS + sum(BITS[name] for name, _ in one.fields)
        bits += sum(LOOP_BITS + sum(BITS[name] for name, _ in loop.strides) for loop in one.loops)
    return -(-bits // 8)


def queue_beats() -> int:
    """Beats of a core's receive queue of one ring direction; a beat has a word for each row of PEs."""
    from caterpillar.mapping.isa import FIFO_BEATS

    return FIFO_BEATS


def softmax_words() -> int:
    """Logits that a softmax unit holds."""
    from caterpillar.mapping.isa import SOFTMAX_OUTPUTS

    return SOFTMAX_OUTPUTS


def mem_b_latches() -> int:
    """Read latches of MEM B."""
    from caterpillar.mapping.isa import LATCHES

    return LATCHES
