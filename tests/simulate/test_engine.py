"""What the control word's operations do to values, one at a time."""

from __future__ import annotations

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping import isa
from caterpillar.mapping.builder import READ, WRITE, Builder
from caterpillar.mapping.schedule import expand
from caterpillar.numerics.arithmetic_type import Arithmetic
from caterpillar.simulate.engine import PIPELINE, execute
from caterpillar.simulate.hazards import walk

MACHINE = Machine(name="tiny", core_rows=1, cores_per_row=2, pe_rows=2, pe_cols=4, ring_words_per_cycle=2)
HALF = Arithmetic("fp16", "tests/simulate/test_engine")


def lanes(values: np.ndarray) -> np.ndarray:
    """A value for each PE p of each core k, (8, 2), as a row of the engine."""
    return np.ascontiguousarray(values, np.float32).reshape(-1)


def executed(b: Builder, memory_b: np.ndarray) -> np.ndarray:
    """Word 0 of MEM A afterwards, (PEs, cores)."""
    control = expand(b.program(40))
    walk(control, MACHINE, warm=False)
    operands = np.zeros((PIPELINE + MACHINE.fma_latency + 2, 16), np.float32)
    operands[isa.ONE] = 1
    a, queues, words = (
        np.zeros((4, 16), np.uint16),
        np.zeros((2, isa.FIFO_BEATS, 2, 2), np.float32),
        np.zeros((2, 8, 2)),
    )
    hops = np.array([isa.link_hops(MACHINE, bit) for bit in range(3)], np.int64)
    sample, memory = np.zeros(4, np.float32), memory_b.astype(np.float32).reshape(-1)
    execute(
        HALF, control, operands.reshape(-1), a.reshape(-1), memory, sample, 0, 16, 4, 2, 4, 2, hops, queues,
        words.astype(np.float32),
    )  # fmt: skip
    return a[0].view(np.float16).reshape(8, 2).astype(np.float64)


def keep(b: Builder, at: int, slot: int) -> None:
    """Put an operand, times one, into word 0 of MEM A."""
    b.issue("fma", at, fma_a=slot, fma_b=isa.ONE, fma_c=isa.ZERO)
    b.memory_a(WRITE, at + MACHINE.fma_latency, [], 0, isa.RESULT)


PE, CORE = np.arange(8)[:, None], np.arange(2)[None, :]


def numbered(words: int = 8) -> np.ndarray:
    """Word w of PE p in core k holds 100 k + 10 p + w."""
    return np.array([lanes(100 * CORE + 10 * PE + w) for w in range(words)])


def test_mem_b_reads_before_it_writes() -> None:
    b = Builder()
    b.memory_b(WRITE, 0, [], 3, isa.ZERO)
    b.memory_b(READ, 0, [], 3, isa.LATCH)
    b.memory_b(READ, 1, [], 3, isa.LATCH + 1)
    b.issue("fma", 2, fma_a=isa.LATCH, fma_b=isa.ONE, fma_c=isa.LATCH + 1)
    b.memory_a(WRITE, 6, [], 0, isa.RESULT)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * PE + 3)


def test_address_modes_follow_lane_and_core() -> None:
    b = Builder()
    b.memory_b(READ, 0, [], 0, isa.LATCH, mode=isa.XOR_LANE, offset=5)
    keep(b, 1, isa.LATCH)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * PE + (PE ^ 5))
    b = Builder()
    b.memory_b(READ, 0, [], 2, isa.LATCH, mode=isa.ROTATE_CORE, offset=1)
    keep(b, 1, isa.LATCH)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * PE + 2 + (1 + CORE) % 2)


def test_an_exchange_swaps_lanes_that_differ_in_a_bit() -> None:
    for bit in range(3):
        b = Builder()
        b.memory_b(READ, 0, [], 0, isa.LATCH)
        b.issue("link", 1, link_bit=bit, link_slot=isa.LATCH)
        keep(b, 1 + isa.link_hops(MACHINE, bit), isa.LINK)
        np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * (PE ^ (1 << bit)) + 0 * PE)


def test_buses_broadcast() -> None:
    b = Builder()
    b.memory_b(READ, 0, [], 0, isa.LATCH)
    to = isa.ALL_COLUMNS
    b.issue("row_bus", 1, row_from=isa.FROM_PE, row_column=2, row_slot=isa.LATCH, row_to=to)
    keep(b, 2, isa.ROW)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * (4 + PE % 2))  # lane = 2 column + row
    b = Builder()
    b.memory_b(READ, 0, [], 0, isa.LATCH)
    b.issue("column_bus", 1, column_row=1, column_slot=isa.LATCH)
    keep(b, 2, isa.COLUMN)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * (PE | 1))


def test_the_ring_goes_both_ways() -> None:
    for send, take in ((isa.UP, isa.FROM_UP), (isa.DOWN, isa.FROM_DOWN)):
        b = Builder()
        b.memory_b(READ, 0, [], 0, isa.LATCH)
        b.issue("row_bus", 1, row_from=isa.FROM_PE, row_column=0, row_slot=isa.LATCH, row_send=send)
        b.issue("row_bus", 2, row_from=take, row_to=isa.ALL_COLUMNS)
        keep(b, 3, isa.ROW)
        np.testing.assert_array_equal(executed(b, numbered()), 100 * (1 - CORE) + 10 * (PE % 2))


def test_flags_of_the_fma() -> None:
    words = np.array([lanes(PE - 3.0 + 0 * CORE), lanes(CORE - 0.5 + 0 * PE)])
    for flags, want in (
        (isa.NEGATE, 3.0 - PE + 0 * CORE),
        (isa.RELU, np.maximum(PE - 3.0, 0) + 0 * CORE),
        (isa.SLOPE, np.where(CORE > 0, PE - 3.0, 0)),
    ):
        b = Builder()
        b.memory_b(READ, 0, [], 0, isa.LATCH)
        b.memory_b(READ, 0, [], 1, isa.LATCH + 1)
        fields = {"fma_gate": isa.LATCH + 1} if flags == isa.SLOPE else {}
        b.issue("fma", 1, fma_a=isa.LATCH, fma_b=isa.ONE, fma_c=isa.ZERO, fma_flags=flags, **fields)
        b.memory_a(WRITE, 5, [], 0, isa.RESULT)
        np.testing.assert_array_equal(executed(b, words), want)
