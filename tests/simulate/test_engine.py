"""What the control word's operations do to values, one at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, isa, place
from caterpillar.mapping.builder import READ, WRITE, WRITE_GROUP, Builder, loop
from caterpillar.mapping.schedule import _window, expand
from caterpillar.network import Network
from caterpillar.numerics.arithmetic_type import Arithmetic
from caterpillar.rules import sgd
from caterpillar.simulate.engine import PIPELINE, execute, new_flow, new_ring
from caterpillar.simulate.hazards import walk

MACHINE = Machine(name="tiny", core_rows=1, cores_per_row=2, pe_rows=2, pe_cols=4, ring_words_per_cycle=2)
HALF = Arithmetic("fp16", "tests/simulate/test_engine")


def lanes(values: np.ndarray) -> np.ndarray:
    """A value for each PE p of each core k, (8, 2), as a row of the engine."""
    return np.ascontiguousarray(values, np.float32).reshape(-1)


def executed(b: Builder, memory_b: np.ndarray) -> np.ndarray:
    """Word 0 of MEM A afterwards, (PEs, cores)."""
    control = expand(b.program(40))
    walk([control], MACHINE, warm=False, sram_beats=9)
    operands = np.zeros((PIPELINE + MACHINE.fma_latency + 2, 16), np.float32)
    operands[isa.ONE] = 1
    a, queues = np.zeros((4, 16), np.uint16), np.zeros((2, isa.FIFO_BEATS, 2, 2), np.float32)
    softmax_words, moving = np.zeros((2, 8, 2), np.float32), np.zeros(4 * 16, np.float32)
    hops = np.array([isa.link_hops(MACHINE, bit) for bit in range(3)], np.int64)
    sram, memory = np.zeros((9, 2, 2), np.float32), memory_b.astype(np.float32).reshape(-1)
    sizes = np.array([16, MACHINE.fma_latency, 2, 4, 2, isa.halves(MACHINE)])
    execute(
        HALF,
        control[None],
        operands.reshape(1, -1),
        a.reshape(1, -1),
        memory[None],
        sram[None],
        np.zeros(1, np.int64),
        sizes,
        hops,
        queues,
        softmax_words[None],
        moving[None],
        new_flow(MACHINE.fma_latency)[None],
        new_ring([[0, 1]], 2, 2),
    )
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
    b.memory_b(READ, 0, [], 0, isa.LATCH, mode=isa.XOR_LANE, offset=1, bits=2)
    keep(b, 1, isa.LATCH)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * PE + (PE % 4 ^ 1))
    b = Builder()
    b.memory_b(READ, 0, [], 2, isa.LATCH, mode=isa.ROTATE_CORE, offset=1)
    keep(b, 1, isa.LATCH)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * PE + 2 + (1 + CORE) % 2)
    for mode, offset, crossed in ((isa.XOR_ROW, 1, 1 ^ (PE % 2)), (isa.XOR_COLUMN, 3, 3 ^ (PE // 2))):
        b = Builder()
        b.memory_b(READ, 0, [], 1, isa.LATCH, mode=mode, offset=offset)
        keep(b, 1, isa.LATCH)
        np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * PE + 1 + crossed)


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
    for column in range(2):  # columns 0 and 2 take a word of column 0, columns 1 and 3 one of column 1
        source = {"row_from": isa.FROM_PE, "row_column": column, "row_slot": isa.LATCH}
        b.issue("row_bus", 1 + column, row_to=column, row_mask=1, **source)
    keep(b, 3, isa.ROW)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * (PE // 2 % 2 * 2 + PE % 2))
    b = Builder()
    b.memory_b(READ, 0, [], 0, isa.LATCH)
    b.issue("column_bus", 1, column_row=1, column_slot=isa.LATCH)
    keep(b, 2, isa.COLUMN)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * (PE | 1))
    b = Builder()
    b.memory_b(READ, 0, [], 0, isa.LATCH)
    b.issue("row_bus", 1, row_from=isa.FROM_PE, row_column=isa.DIAGONAL, row_slot=isa.LATCH, row_to=to)
    keep(b, 2, isa.ROW)
    np.testing.assert_array_equal(executed(b, numbered()), 100 * CORE + 10 * (PE % 2 * 3))


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


def wide(b: Builder, memory_a: np.ndarray, sram: np.ndarray, machine: Machine) -> None:
    """Execute on a machine with groups of words; memory_a and sram are changed in place."""
    control = expand(b.program(40))
    walk([control], machine, warm=False, sram_beats=len(sram))
    operands = np.zeros((PIPELINE + machine.fma_latency + 2, 16), np.float32)
    operands[isa.ONE] = 1
    sizes = np.array([16, machine.fma_latency, 2, 4, 2, isa.halves(machine)])
    execute(
        HALF,
        control[None],
        operands.reshape(1, -1),
        memory_a.reshape(1, -1),
        np.zeros((1, 64), np.float32),
        sram[None],
        np.zeros(1, np.int64),
        sizes,
        np.ones(3, np.int64),
        np.zeros((2, isa.FIFO_BEATS, 2, 2), np.float32),
        np.zeros((1, 2, 8, 2), np.float32),
        np.zeros((1, 64), np.float32),
        new_flow(machine.fma_latency)[None],
        new_ring([[0, 1]], 2, 2),
    )


def test_a_group_comes_and_goes_in_one_access() -> None:
    machine = replace(MACHINE, pe_sram_word_bits=64)
    memory = np.arange(8, dtype=np.float16)[:, None].repeat(16, axis=1).view(np.uint16).copy()
    b = Builder()
    b.memory_a(READ, 0, [], 5, isa.MEM_A)
    for i in range(4):
        to = isa.STAGED + i if i < 3 else isa.NONE
        b.issue("fma", 1 + i, fma_a=isa.HALF + i, fma_b=isa.MEM_A, fma_c=isa.ZERO, fma_to=to)
    b.memory_a(WRITE_GROUP, 4 + machine.fma_latency, [], 2, isa.RESULT)
    wide(b, memory, np.zeros((1, 2, 2), np.float32), machine)
    assert memory.view(np.float16)[:, 3].tolist() == [20, 25, 30, 35, 4, 5, 6, 7]


def test_words_go_to_the_core_sram_and_come_back() -> None:
    sram = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    memory = np.zeros((4, 16), np.uint16)
    b = Builder()
    b.issue("row_bus", 0, row_from=isa.FROM_SRAM, row_to=isa.ALL_COLUMNS, row_address=1)
    b.issue("row_bus", 1, row_from=isa.FROM_PE, row_column=2, row_slot=isa.ROW, row_to=isa.TO_SRAM, row_address=2)
    b.issue("row_bus", 2, row_from=isa.FROM_SRAM, row_to=1, row_address=2)
    b.memory_a(WRITE, 3, [], 0, isa.ROW)
    wide(b, memory, sram, MACHINE)
    np.testing.assert_array_equal(sram[2], sram[1])
    np.testing.assert_array_equal(memory[0].view(np.float16).reshape(4, 2, 2)[1], sram[1])


def test_an_address_register_steps_a_slot_a_tick() -> None:
    b = Builder()
    b.memory_b(READ, 0, [loop(2, 3, address=1)], 10, isa.LATCH, queue=1, lag=2)
    column, queues = isa.COLUMN_OF["b0_address"], (isa.Queue(words=5, slots=3),)
    found = [expand(b.program(8), queues, tick=tick)[[0, 3], column].tolist() for tick in range(4)]
    assert found == [[20, 21], [10, 11], [15, 16], [20, 21]]


def test_windows_are_the_whole() -> None:
    schedule = place(sgd()(Network.mlp(12, 11, 9, 3)), MACHINE)
    assert isinstance(schedule, Schedule)
    whole = expand(schedule.steady)
    for length in (1, 7, 64):
        parts = [_window(schedule.steady, (), 0, s, min(s + length, len(whole))) for s in range(0, len(whole), length)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
