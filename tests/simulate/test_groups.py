"""Groups of cores that run programs of their own: the same programs do the same, others meet on the ring in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caterpillar.cost.control import program_bytes
from caterpillar.counters import Counters
from caterpillar.estimate.schedule import predict, segment
from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, isa, place
from caterpillar.mapping.builder import Builder
from caterpillar.mapping.isa import MicroProgram
from caterpillar.mapping.schedule import expand
from caterpillar.network import Network
from caterpillar.rules import Rule, cp, mbgd, sgd
from caterpillar.simulate import simulate
from caterpillar.simulate.hazards import Hazard, Walk
from caterpillar.simulate.trace import trace_events

MACHINE = Machine(name="tiny", core_rows=1, cores_per_row=3, pe_rows=2, pe_cols=2, ring_words_per_cycle=1)


def in_groups(program: MicroProgram | None, group_of: tuple[int, ...]) -> MicroProgram | None:
    """The same program, under as many names as there are groups."""
    if program is None:
        return None
    others = tuple(replace(program) for _ in range(max(group_of)))
    return replace(program, others=others, group_of=group_of)


@settings(max_examples=12, deadline=None)
@given(
    rule=st.sampled_from([("best", sgd()), ("best", cp()), ("paper", sgd()), ("paper", mbgd(2))]),
    sizes=st.lists(st.integers(2, 20), min_size=3, max_size=4),
    cores=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_a_program_run_by_groups_does_what_it_does_run_by_all(
    rule: tuple[str, Rule], sizes: list[int], cores: int, seed: int
) -> None:
    mapping, made = rule
    machine = replace(MACHINE, cores_per_row=cores, pe_mem_b_bytes=4096, pe_registers=32)
    schedule = place(made(Network.mlp(*sizes)), machine, mapping=mapping)
    assert isinstance(schedule, Schedule)
    assume(not schedule.steady.others)
    random = np.random.default_rng(seed)
    numbers = random.permutation(np.append(random.integers(0, cores, cores - 1), 0))
    group_of = tuple(np.unique(numbers, return_inverse=True)[1].tolist())
    grouped = replace(
        schedule,
        first=in_groups(schedule.first, group_of),
        steady=in_groups(schedule.steady, group_of),
        last=in_groups(schedule.last, group_of),
    )
    weights = tuple(
        random.normal(0, 0.3, (layer.inputs, layer.outputs)).astype(np.float16) for layer in schedule.network.layers
    )
    images = random.random((4, sizes[0])).astype(np.float16)
    labels = random.integers(0, sizes[-1], 4)
    one, other = (simulate(each, weights, images, labels, 0.05) for each in (schedule, grouped))
    assert (one.cycles, one.counters) == (other.cycles, other.counters)
    for got, want in zip(other.weights, one.weights, strict=True):
        np.testing.assert_array_equal(got, want)
    assert sum(predict(grouped).phases(4).values(), start=Counters()) == other.counters
    assert program_bytes(grouped.steady) == program_bytes(schedule.steady)


def sender(at: int, beats: int = 1) -> Builder:
    b = Builder()
    for n in range(beats):
        b.issue("row_bus", at + 2 * n, row_from=isa.FROM_PE, row_column=0, row_slot=isa.ONE, row_send=isa.UP)
    return b


def taker(at: int, beats: int = 1) -> Builder:
    b = Builder()
    b.issue("row_bus", at, [isa.Loop(beats, 1)], row_from=isa.FROM_UP, row_to=0)
    return b


def programs(*builders: Builder, cycles: int = 200) -> MicroProgram:
    """Core k runs the k-th."""
    first, *others = (b.program(cycles) for b in builders)
    return replace(first, others=tuple(others), group_of=tuple(range(len(builders))))


def check(program: MicroProgram) -> Counters:
    words = np.stack([expand(one) for one in program.groups])
    return Walk(MACHINE, program.members(MACHINE.cores)).tick([words])


@pytest.mark.parametrize("late", [0, 1])
def test_a_beat_is_taken_when_it_has_come_from_the_core_below(late: int) -> None:
    program = programs(sender(5), taker(6 + late), Builder())  # two words a beat, a word a cycle
    if late:
        assert check(program).ring_word_hops == 2
    else:
        with pytest.raises(Hazard, match="cycle 6, row_bus of core 1: row_bus takes a beat off the ring, and none"):
            check(program)


def test_a_beat_goes_to_the_core_above_and_not_below() -> None:
    with pytest.raises(Hazard, match="cycle 9, row_bus of core 2: row_bus takes a beat"):
        check(programs(sender(5), Builder(), taker(9)))
    assert check(programs(taker(9), Builder(), sender(5))).ring_word_hops == 2  # the ring is closed


def test_what_is_never_taken_is_refused() -> None:
    with pytest.raises(Hazard, match="cycle 200, row_bus of core 1"):
        check(programs(sender(5), Builder(), Builder()))


def test_a_queue_holds_so_many_beats() -> None:
    full = isa.FIFO_BEATS
    assert check(programs(sender(0, full), taker(2 * full + 2, full), Builder())).ring_word_hops == 2 * full
    with pytest.raises(Hazard, match=f"cycle {2 * full}, row_bus of core 0: .* whose queue is full"):
        check(programs(sender(0, full + 1), taker(2 * full + 3, full + 1), Builder(), cycles=300))


def test_each_group_is_counted_on_its_own_cores() -> None:
    first, second = Builder(), Builder()
    with first.phase("forward 1", isa.FORWARD):
        first.issue("fma", 0, [isa.Loop(5, 1)], fma_a=isa.ONE, fma_b=isa.ONE, fma_c=isa.ZERO)
    with second.phase("update 1", isa.UPDATE):
        second.issue("fma", 0, [isa.Loop(3, 1)], fma_a=isa.ONE, fma_b=isa.ONE, fma_c=isa.ZERO)
    one, other = first.program(20), second.program(20)
    program = replace(one, others=(other,), group_of=(1, 0, 1))
    assert check(program).fma == 4 * (5 + 2 * 3)
    found = segment(program, MACHINE)
    assert found.counters == check(program)
    assert (found.phases["forward"].fma, found.phases["update"].fma) == (4 * 5, 4 * 6)
    assert (found.phases["forward"].pe_cycles, found.phases["update"].pe_cycles) == (4 * 5, 4 * 6)


def test_the_trace_shows_each_core_its_own_phases() -> None:
    schedule = place(sgd()(Network.mlp(6, 5, 4)), MACHINE)
    assert isinstance(schedule, Schedule)
    mine = replace(schedule.steady.phases[0], name="mine")
    other = replace(schedule.steady, phases=(mine, *schedule.steady.phases[1:]))
    steady = replace(schedule.steady, others=(other,), group_of=(0, 1, 0))
    events = list(trace_events(replace(schedule, first=None, last=None, steady=steady), 1))
    assert {event["pid"] for event in events if event["name"] == "mine"} == {1}
    assert {event["pid"] for event in events if event["name"] == "use"} == {0, 1, 2}
