"""Every timing rule: blocked at t - 1, ready at t; and mutated schedules are refused with cycle and place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, ScheduleError, isa, place
from caterpillar.mapping.builder import READ, WRITE, Builder, loop
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.schedule import expand
from caterpillar.network import Network
from caterpillar.rules import sgd
from caterpillar.simulate import simulate
from caterpillar.simulate.hazards import Hazard, walk

MACHINE = Machine(
    name="tiny", cores_per_row=2, pe_rows=4, pe_cols=2, ring_words_per_cycle=2, core_sram_words_per_cycle=2
)
A0, R0 = isa.ACCUMULATOR, isa.REGISTER


def check(b: Builder, *, cycles: int = 64) -> None:
    walk([expand(b.program(cycles))], MACHINE, warm=False, sram_beats=9)


def multiply(b: Builder, at: int, **fields: int) -> None:
    given = {"fma_a": isa.ONE, "fma_b": isa.ONE, "fma_c": isa.ZERO, **fields}
    b.issue("fma", at, **given)


def refused(b: Builder, cycle: int, unit: str, words: str) -> None:
    with pytest.raises(Hazard, match=words) as caught:
        check(b)
    assert (caught.value.cycle, caught.value.unit) == (cycle, unit)
    assert f"cycle {cycle}, {unit}" in str(caught.value)


@pytest.mark.parametrize("target", [A0, R0 + 3])
def test_an_fma_result_is_ready_after_the_latency(target: int) -> None:
    for at in (3, 4):
        b = Builder()
        multiply(b, 0, fma_to=target)
        multiply(b, at, fma_c=target)
        if at == 3:
            refused(b, 3, "fma", "before it is ready .ready in cycle 4")
        else:
            check(b)


@pytest.mark.parametrize("at", [3, 4, 5])
def test_a_result_can_be_taken_in_its_cycle_only(at: int) -> None:
    b = Builder()
    multiply(b, 0)
    b.memory_a(WRITE, at, [], 0, isa.RESULT)
    if at == 4:
        check(b)
    else:
        refused(b, at, "mem_a", "takes the FMA's result, and none comes out")


def test_the_result_before_is_there_a_cycle_later() -> None:
    for at in (4, 5, 6):
        b = Builder()
        multiply(b, 0)
        b.memory_a(WRITE, at, [], 0, isa.RESULT_BEFORE)
        if at == 5:
            check(b)
        else:
            refused(b, at, "mem_a", "none comes out")


@pytest.mark.parametrize(("unit", "slot"), [("a", isa.MEM_A), ("b", isa.LATCH + 1), ("b", R0)])
def test_a_memory_word_is_ready_in_the_next_cycle(unit: str, slot: int) -> None:
    for at in (5, 6):
        b = Builder()
        if unit == "a":
            b.memory_a(READ, 5, [], 0, slot)
        else:
            b.memory_b(READ, 5, [], 0, slot)
        multiply(b, at, fma_a=slot)
        if at == 5:
            refused(b, 5, "fma", "before it is ready")
        else:
            check(b)


def test_a_bus_word_is_ready_in_the_next_cycle() -> None:
    for at in (2, 3):
        b = Builder()
        b.issue("column_bus", 2, column_row=0, column_slot=isa.ONE)
        multiply(b, at, fma_a=isa.COLUMN)
        if at == 2:
            refused(b, 2, "fma", "the column latch before it is ready")
        else:
            check(b)


def test_an_exchange_takes_its_hops_and_keeps_the_links_busy() -> None:
    assert isa.link_hops(MACHINE, 1) == 2  # rows 0 and 2 are two apart
    for at in (1, 2):
        b = Builder()
        b.issue("link", 0, link_bit=1, link_slot=isa.ONE)
        multiply(b, at, fma_a=isa.LINK)
        if at == 1:
            refused(b, 1, "fma", "the link latch before it is ready .ready in cycle 2")
        else:
            check(b)
    b = Builder()
    b.issue("link", 0, [loop(2, 1)], link_bit=1, link_slot=isa.ONE)
    refused(b, 1, "link", "busy until cycle 2")


def send(b: Builder, at: int) -> None:
    b.issue("row_bus", at, row_from=isa.FROM_PE, row_column=0, row_slot=isa.ONE, row_send=isa.UP)


def take(b: Builder, at: int) -> None:
    b.issue("row_bus", at, row_from=isa.FROM_UP, row_to=0)


def test_a_beat_takes_as_many_cycles_as_the_link_is_narrow() -> None:
    assert isa.beat_cycles(MACHINE) == 2
    for at in (1, 2):
        b = Builder()
        send(b, 0)
        take(b, at)
        if at == 1:
            refused(b, 1, "row_bus", "none has arrived")
        else:
            check(b)
    b = Builder()
    send(b, 0)
    send(b, 1)
    refused(b, 1, "row_bus", "ring link that is busy until cycle 2")


def test_what_is_sent_must_be_taken_and_not_more() -> None:
    b = Builder()
    send(b, 0)
    refused(b, 64, "row_bus", "queue is full")
    b = Builder()
    take(b, 7)
    refused(b, 7, "row_bus", "none has arrived")


def test_the_core_sram_gives_a_beat_in_its_own_time() -> None:
    for at in (1, 2):
        b = Builder()
        b.issue("row_bus", 0, row_from=isa.FROM_SRAM, row_to=0, row_address=0)
        b.issue("row_bus", at, row_from=isa.FROM_SRAM, row_to=1, row_address=1)
        if at == 1:
            refused(b, 1, "row_bus", "core SRAM, which is busy until cycle 2")
        else:
            check(b)


def test_the_softmax_unit_takes_its_time() -> None:
    done = isa.softmax_cycles(MACHINE, 3)
    for at in (done - 1, done):
        b = Builder()
        b.issue("softmax", 0, softmax_on=3)
        b.issue("row_bus", at, row_from=isa.FROM_SOFTMAX, row_to=0, row_address=0)
        program = expand(b.program(done + 8))
        if at == done:
            walk([program], MACHINE, warm=False)
        else:
            with pytest.raises(Hazard, match=f"softmax unit before it is ready .ready in cycle {done}"):
                walk([program], MACHINE, warm=False)


@pytest.mark.parametrize(
    ("op", "address", "unit"),
    [("mem_a", 8192, "mem_a"), ("mem_a", -1, "mem_a"), ("mem_b", 256, "mem_b0"), ("rotate", 253, "mem_b0")],
)
def test_addresses_stay_inside(op: str, address: int, unit: str) -> None:
    b = Builder()
    if op == "mem_a":
        b.memory_a(READ, 9, [], address, isa.MEM_A)
    else:
        mode = isa.ROTATE_CORE if op == "rotate" else isa.PLAIN
        b.memory_b(READ, 9, [], address, isa.LATCH, mode=mode)
    refused(b, 9, unit, "outside its memory")


def test_a_diagonal_must_cross_every_bus() -> None:
    b = Builder()  # four rows, two columns: row 2 has no PE on the diagonal
    b.issue("row_bus", 3, row_from=isa.FROM_PE, row_column=isa.DIAGONAL, row_slot=isa.ONE)
    refused(b, 3, "row_bus", "address 64, outside")
    b = Builder()
    b.issue("column_bus", 3, column_row=isa.DIAGONAL, column_slot=isa.ONE)
    check(b)


@pytest.mark.parametrize("slot", [isa.REGISTER + 8, isa.ACCUMULATOR + 4, 13])
def test_operands_must_exist(slot: int) -> None:
    b = Builder()
    multiply(b, 0, fma_a=slot)
    refused(b, 0, "fma", f"names operand {slot}, which this machine has not")


def test_results_must_not_be_in_flight_at_the_end() -> None:
    b = Builder()
    multiply(b, 61)
    refused(b, 64, "fma", "still in flight when the program ends, until cycle 65")


def test_two_issues_on_one_unit() -> None:
    b = Builder()
    multiply(b, 3)
    with pytest.raises(ScheduleError, match="two issues on fma in cycle 3"):
        b.issue("fma", 1, [loop(2, 2)], fma_a=isa.ONE, fma_b=isa.ONE, fma_c=isa.ZERO)
    b = Builder()
    for _ in range(2):
        b.memory_b(READ, 5, [], 0, isa.LATCH)
    with pytest.raises(ScheduleError, match="two issues on mem_b1 in cycle 5"):
        b.memory_b(READ, 5, [], 0, isa.LATCH)


def schedule() -> Schedule:
    placed = place(sgd()(Network.mlp(20, 16, 16, 5)), MACHINE)  # no hidden output is padding
    assert isinstance(placed, Schedule)
    return placed


def delayed(program: MicroProgram, index: int) -> MicroProgram:
    """The same program with one instruction a cycle later."""
    instructions = list(program.instructions)
    instructions[index] = dataclasses.replace(instructions[index], start=instructions[index].start + 1)
    return dataclasses.replace(program, instructions=tuple(instructions), cycles=program.cycles + 1)


def test_a_mutated_schedule_is_refused_or_gives_other_bits() -> None:
    """Timing rules catch a result taken too late, unless another one comes out just then: then the bits change."""
    placed = schedule()
    random = np.random.default_rng(3)
    weights = tuple((random.standard_normal(shape) / 4).astype(np.float16) for shape in ((20, 16), (16, 16), (16, 5)))
    inputs, labels = random.random((1, 20)).astype(np.float16), np.array([2])
    want = simulate(placed, weights, inputs, labels, 0.1)
    refused: list[Hazard] = []
    ports: set[str] = set()  # of MEM B, that results are written through
    for index, one in enumerate(placed.first.instructions):
        if not any(name.endswith("_slot") and value == isa.RESULT for name, value in one.fields):
            continue
        ports |= {one.unit} & {"mem_b0", "mem_b1"}
        changed = dataclasses.replace(placed, first=delayed(placed.first, index))
        try:
            got = simulate(changed, weights, inputs, labels, 0.1)
        except Hazard as hazard:
            refused.append(hazard)
        else:
            assert any((a != b).any() for a, b in zip(got.weights, want.weights, strict=True)), one
    assert ports
    assert {hazard.unit for hazard in refused} >= ports
    assert all(0 < hazard.cycle < placed.first.cycles for hazard in refused)
