"""Continuous propagation's layouts and plans; that their values are the trainer's, tests/simulate shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.pipeline.choose import choices
from caterpillar.mapping.pipeline.layout import Layout, finish
from caterpillar.mapping.pipeline.order import make_order
from caterpillar.mapping.pipeline.split import Split
from caterpillar.mapping.pipeline.words import share
from caterpillar.network import Network
from caterpillar.numerics import Visits
from caterpillar.rules import cp

SMALL = Network.mlp(784, 500, 500, 500, 10)
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)
MACHINES = st.builds(
    Machine,
    name=st.just("random"),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 4),
    pe_rows=st.sampled_from([1, 2, 4, 8]),
    pe_cols=st.sampled_from([1, 2, 4, 8]),
    fma_latency=st.integers(1, 8),
    pe_sram_word_bits=st.sampled_from([16, 32, 64, 128]),
    ring_words_per_cycle=st.just(4),
)
SIZES = st.lists(st.integers(1, 60), min_size=3, max_size=6)


def layouts(sizes: list[int], machine: Machine) -> list[Layout]:
    network = Network.mlp(*sizes)
    return [finish(network, machine, list(splits), apart) for splits in choices(network, machine)]


def apart(_first: int, _second: int) -> bool:
    return True


@settings(max_examples=50, deadline=None)
@given(sizes=SIZES, machine=MACHINES)
def test_every_weight_lies_in_one_place(sizes: list[int], machine: Machine) -> None:
    for layout in layouts(sizes, machine)[:2]:
        ends: list[int] = []
        for index in range(1, layout.depth + 1):
            at = layout.weight_places(index)
            core, lane, word, row, column = np.broadcast_arrays(at.core, at.lane, at.word, at.row, at.column)
            real = (row >= 0) & (column >= 0)
            found = list(zip(row[real].tolist(), column[real].tolist(), strict=True))
            assert set(found) == {(i, j) for i in range(sizes[index - 1]) for j in range(sizes[index])}
            held = set(zip(core[real].tolist(), lane[real].tolist(), word[real].tolist(), strict=True))
            assert len(held) == len(found)
            if index < layout.depth:  # of the last layer's, lanes that keep the same inputs have copies
                assert len(found) == sizes[index - 1] * sizes[index]
            ends.append(int(word.max()))
            assert not ends[:-1] or int(word.min()) > ends[-2]
        assert ends[-1] < layout.mem_a_words


@settings(max_examples=50, deadline=None)
@given(sizes=SIZES, machine=MACHINES)
def test_every_sum_has_all_its_terms(sizes: list[int], machine: Machine) -> None:
    for layout in layouts(sizes, machine)[:2]:
        for index, order in enumerate(make_order(layout, machine).layers, start=1):
            for visits, sums, terms in (
                (order.forward, sizes[index], sizes[index - 1]),
                (order.backward, sizes[index - 1], sizes[index]),
            ):
                if isinstance(visits, Visits):
                    assert len(visits.row) == sums
                    for used in set(visits.row):
                        assert sorted(visits.terms[used]) == list(range(terms))
                        assert all(0 <= name < visits.lanes * visits.blocks for name in visits.sums[used])


@settings(max_examples=200, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 4, 8]),
    steps=st.sampled_from([1, 2, 4]),
    groups=st.sampled_from([1, 2, 4, 8]),
    sums=st.integers(1, 70),
    grain=st.sampled_from([1, 2, 4, 8, 16, 32]),
    after=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_blocks_and_beats(rows: int, steps: int, groups: int, sums: int, grain: int, after: int) -> None:
    """Every output of a core is in one row of one beat, and beats lie where halved error sums end."""
    columns = groups * steps
    after, grain = min(after, columns), min(grain, rows * steps)
    split = Split(
        input_lanes=rows * steps,
        output_lanes=groups,
        rows=rows,
        sums=sums,
        width=1,
        chunks=(),
        joined=False,
        positions=1,
        grain=grain,
        alike=False,
    )
    found: list[int] = []
    for beat in split.beats(after):
        block = split.blocks[beat.block]
        lanes = range(beat.column * rows, (beat.column + 1) * rows)
        mine = [split.local(block, lane) for lane in lanes]
        found += [group * sums + number for group, number in mine if number >= 0]
        assert beat.number % split.words(block, after) == beat.column % split.words(block, after)
        assert beat.number % after == beat.column % after
    assert sorted(found) == list(range(groups * sums))
    numbers = [beat.number for beat in split.beats(after)]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < split.chunk_for(after) * after


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=7), pairs=st.sets(st.tuples(*[st.integers(0, 6)] * 2)))
def test_words_that_are_wanted_together_do_not_overlap(sizes: list[int], pairs: set[tuple[int, int]]) -> None:
    at, end = share(sizes, lambda i, j: (i, j) in pairs)
    for i, j in pairs:
        if i < j < len(sizes) and sizes[i] and sizes[j]:
            assert at[i] + sizes[i] <= at[j] or at[j] + sizes[j] <= at[i]
    assert max(sizes) <= end <= sum(sizes)


@pytest.mark.parametrize(
    ("network", "machine", "utilization"),
    [
        (SMALL, PAPER_A, 0.958),
        (LARGE, PAPER_B, 0.94),  # in 512 bytes of MEM B
    ],
)
def test_the_papers_networks_on_its_machines(network: Network, machine: Machine, utilization: float) -> None:
    schedule = place(cp()(network), machine)
    assert isinstance(schedule, Schedule)
    assert schedule.utilization > utilization
    assert 2 * schedule.layout.mem_b_words <= machine.pe_mem_b_bytes


def test_a_machine_on_which_nothing_is_padded() -> None:
    """25 cores: all hidden layers' sizes are multiples of 500."""
    machine = replace(
        PAPER_A,
        core_rows=5,
        cores_per_row=5,
        pe_sram_bytes=64 * 1024,
        pe_sram_word_bits=64,
        pe_mem_b_bytes=1280,
    )
    schedule = place(cp()(LARGE), machine)
    assert isinstance(schedule, Schedule)
    assert schedule.utilization > 0.99
