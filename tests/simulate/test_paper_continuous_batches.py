"""The paper's mapping of continuous propagation of batches: the trainer's bits, the estimate's counts, bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible
from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.paper.continuous.shares import Part
from caterpillar.mapping.paper.continuous_batches.layout import Layout, evenly, in_chains
from caterpillar.network import Network
from caterpillar.rules import cp, mbcp
from caterpillar.simulate import count
from tests.simulate import mini_batches

SMALL = Network.mlp(784, 500, 500, 500, 10)
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


def square(rows: int, **sizes: int) -> Machine:
    return Machine(name="random", pe_rows=rows, pe_cols=rows, pe_registers=32, pe_mem_b_bytes=8192, **sizes)  # pyright: ignore[reportArgumentType]


MACHINES = st.builds(
    square,
    st.sampled_from([1, 2, 4, 8]),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 4),
    fma_latency=st.integers(1, 8),
    ring_words_per_cycle=st.integers(1, 9),
    core_sram_words_per_cycle=st.integers(1, 9),
)


@cache
def placed(network: Network, machine: Machine, batch: int) -> Schedule:
    schedule = place(mbcp(batch)(network), machine, mapping="paper")
    assert isinstance(schedule, Schedule)
    return schedule


def agree(network: Network, machine: Machine, batch: int, batches: int, seed: int) -> None:
    mini_batches.agree(placed(network, machine, batch), mbcp(batch), batches, seed)


@settings(max_examples=20, deadline=None)
@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(2, 40), min_size=3, max_size=5),
    batch=st.integers(2, 9),
    batches=st.integers(2, 6),
    seed=st.integers(0, 1000),
)
def test_random_machines_and_networks(machine: Machine, sizes: list[int], batch: int, batches: int, seed: int) -> None:
    agree(Network.mlp(*sizes), machine, batch, batches, seed)


@settings(max_examples=4, deadline=None)
@given(
    cores=st.integers(2, 6),
    sizes=st.lists(st.integers(30, 120), min_size=3, max_size=4),
    batch=st.sampled_from([2, 4, 8]),
    seed=st.integers(0, 1000),
)
def test_the_papers_cores(cores: int, sizes: list[int], batch: int, seed: int) -> None:
    agree(Network.mlp(*sizes, 10), replace(PAPER_A, core_rows=1, cores_per_row=cores), batch, 3, seed)


def test_the_papers_small_network_and_its_machine() -> None:
    agree(SMALL, PAPER_A, 2, 2, 5)


def test_parts_of_a_layer_that_a_core_works_off_in_turn() -> None:
    machine = replace(PAPER_A, core_rows=1, cores_per_row=2)
    layout = placed(Network.mlp(40, 120, 90, 10), machine, 8).layout
    assert isinstance(layout, Layout)
    on = [(part.layer, part.core) for part in layout.parts]
    assert len(set(on)) < len(on)
    agree(Network.mlp(40, 120, 90, 10), machine, 8, 3, 1)


@settings(max_examples=20, deadline=None)
@given(machine=MACHINES, sizes=st.lists(st.integers(2, 60), min_size=3, max_size=5), batch=st.integers(2, 9))
def test_no_unit_does_more_than_it_can(machine: Machine, sizes: list[int], batch: int) -> None:
    schedule = placed(Network.mlp(*sizes), machine, batch)
    cycles, events = count(schedule, 2 * batch)
    assert cycles * machine.pes >= events.fma >= 2 * batch * schedule.macs_per_sample
    assert cycles * machine.pes >= events.pe_sram_read_words + events.pe_sram_write_words
    assert 2 * cycles * machine.pes >= events.mem_b_read_words + events.mem_b_write_words
    buses = machine.pe_rows * machine.cores
    assert cycles * buses >= max(events.row_bus_words, events.column_bus_words)
    assert cycles * machine.cores * 2 * machine.ring_words_per_cycle >= events.ring_word_hops
    assert 0 < schedule.utilization <= 1


def test_a_batch_of_one_is_cp() -> None:
    network, machine = Network.mlp(20, 16, 10), replace(PAPER_A, core_rows=1, cores_per_row=2)
    one, other = (place(rule(network), machine, mapping="paper") for rule in (mbcp(1), cp()))
    assert isinstance(one, Schedule)
    assert isinstance(other, Schedule)
    assert one.steady == other.steady


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=12),
    st.integers(1, 9),
)
def test_chains_have_each_output_once(some: list[tuple[int, int, int]], pace: int) -> None:
    along = sorted(some, key=lambda one: (one[1], one[0]))
    parts = tuple(Part(layer=layer, core=core, first=0, sums=sums) for layer, core, sums in along)
    dealt = in_chains(evenly(parts), lambda part: pace * part.sums)
    for layer in {part.layer for part in parts}:
        mine = sorted((part.first, part.end) for part in dealt if part.layer == layer)
        assert mine[0][0] == 0
        assert [end for _, end in mine[:-1]] == [first for first, _ in mine[1:]]
        assert mine[-1][1] == sum(sums for of, _, sums in some if of == layer)


@pytest.mark.parametrize("batch", [4, 8])
def test_batches_that_do_not_fit_the_large_machine(batch: int) -> None:
    answer = place(mbcp(batch)(LARGE), PAPER_B, mapping="paper")
    assert isinstance(answer, Infeasible)
    assert (answer.what, answer.has_bytes) == ("MEM B of a PE", 512)
    assert answer.needs_bytes > 512
    assert answer.hint.startswith("lower the batch or raise pe_mem_b_bytes")


@pytest.mark.parametrize(
    ("size", "small", "what"),
    [
        ("pe_sram_bytes", 64, "MEM A of a PE"),
        ("pe_mem_b_bytes", 16, "MEM B of a PE"),
        ("pe_registers", 1, "the register file of a PE"),
        ("core_sram_bytes", 1024, "the SRAM of a core"),
    ],
)
def test_what_does_not_fit(size: str, small: int, what: str) -> None:
    answer = place(mbcp(2)(SMALL), replace(PAPER_A, **{size: small}), mapping="paper")
    assert isinstance(answer, Infeasible)
    assert answer.what == what
    assert answer.needs_bytes > answer.has_bytes
