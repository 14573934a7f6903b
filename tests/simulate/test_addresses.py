"""Addresses exist in every tick, not only in the first one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.batches import place_batches
from caterpillar.mapping.isa import LATCH, PLAIN, READ, XOR_ROW, Instruction, Loop, MicroProgram
from caterpillar.mapping.schedule import QUEUED, windows
from caterpillar.network import Network
from caterpillar.rules import Rule, cp, mbcp, sgd
from caterpillar.simulate import count
from caterpillar.simulate.addresses import check_addresses
from caterpillar.simulate.hazards import Hazard, Walk

MACHINE = Machine(
    name="tiny",
    core_rows=1,
    cores_per_row=2,
    pe_rows=2,
    pe_cols=2,
    ring_words_per_cycle=2,
    pe_mem_b_bytes=1024,
    pe_registers=32,
)


def placed(rule: Rule, mapping: str = "best") -> Schedule:
    schedule = place(rule(Network.mlp(9, 8, 7, 6, 4)), MACHINE, mapping=mapping)
    assert isinstance(schedule, Schedule)
    return schedule


@pytest.mark.parametrize(("rule", "mapping"), [(cp(), "best"), (mbcp(2), "best"), (cp(), "paper"), (mbcp(2), "paper")])
def test_a_register_that_leaves_the_memory_in_a_later_tick_is_refused(rule: Rule, mapping: str) -> None:
    schedule = placed(rule, mapping)
    check_addresses(schedule)
    for number, queue in enumerate(schedule.queues):
        longer = replace(queue, slots=queue.slots + 10000)
        queues = (*schedule.queues[:number], longer, *schedule.queues[number + 1 :])
        with pytest.raises(Hazard, match=r"is given address .*, outside its memory"):
            count(replace(schedule, queues=queues), 4)


def test_the_walk_over_one_tick_does_not_see_it() -> None:
    schedule = place_batches(mbcp(2)(Network.mlp(9, 8, 7, 6, 4)), MACHINE, "mbcp")
    assert isinstance(schedule, Schedule)
    queues = tuple(replace(queue, slots=queue.slots + 1) for queue in schedule.queues)
    short = replace(schedule, queues=queues)
    Walk(MACHINE, sram_beats=short.sram_beats).tick(words[None] for words in windows(short.steady, queues))
    with pytest.raises(Hazard, match="outside its memory"):
        check_addresses(short)


@pytest.mark.parametrize("unit", sorted({"mem_a", "mem_b0", "row_bus"}))
@pytest.mark.parametrize("by", [-10000, 10000])
def test_an_address_outside_what_the_layout_has_is_refused(unit: str, by: int) -> None:
    """However large the machine's memory is: the simulator holds no more words than the layout uses."""
    schedule = placed(sgd())
    check_addresses(schedule)
    name = f"{QUEUED[unit]}_address"

    def moved(program: MicroProgram) -> MicroProgram:
        at = next(n for n, one in enumerate(program.instructions) if one.unit == unit and name in dict(one.fields))
        one = program.instructions[at]
        other = replace(one, loops=(Loop(2, 0, ((name, by),)), *one.loops))
        return replace(program, instructions=(*program.instructions[:at], other, *program.instructions[at + 1 :]))

    with pytest.raises(Hazard, match=f"{unit} of every core: {unit} is given address"):
        check_addresses(replace(schedule, steady=moved(schedule.steady)))


@pytest.mark.parametrize("beyond", [False, True])
def test_a_mode_that_a_loop_steps_reaches_as_far_as_it_does_in_each_issue(beyond: bool) -> None:
    """From words around the first one to the last word alone."""
    schedule = placed(sgd())
    last = schedule.layout.mem_b_words - 1 + beyond
    fields = (("b0_op", READ), ("b0_address", 0), ("b0_slot", LATCH), ("b0_mode", XOR_ROW), ("b0_offset", 0))
    loops = (Loop(2, 1, (("b0_address", last), ("b0_mode", PLAIN - XOR_ROW))),)
    program = MicroProgram(cycles=4, instructions=(Instruction("mem_b0", 0, fields, loops),), phases=())
    alone = replace(schedule, first=None, steady=program, last=None)
    if not beyond:
        check_addresses(alone)
        return
    with pytest.raises(Hazard, match=f"mem_b0 is given address {last}, outside its memory"):
        check_addresses(alone)
