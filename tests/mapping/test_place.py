"""What place answers, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible, UsageError
from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.arrange import make_layouts
from caterpillar.mapping.streamed import place_streamed
from caterpillar.network import Network
from caterpillar.rules import Rule, cp, dfa, fa, mbcp, mbgd, sgd

SMALL = Network.mlp(784, 500, 500, 500, 10)


def test_the_papers_small_network_on_its_machine() -> None:
    schedule = place(sgd()(SMALL), PAPER_A)
    assert isinstance(schedule, Schedule)
    assert schedule.utilization > 0.81
    assert schedule.first is not None
    assert schedule.last is not None
    assert schedule.cycles(3) == schedule.first.cycles + 2 * schedule.steady.cycles + schedule.last.cycles


def test_the_order_says_how_the_machine_adds() -> None:
    schedule = place(sgd()(SMALL), PAPER_A)
    assert isinstance(schedule, Schedule)
    first, second, _, last = schedule.order.layers
    assert first.bounds[:3] == (0, 16, 32)
    assert first.bounds[-2:] == (496, 500)
    assert (first.forward_lanes, first.forward_combine, first.forward_first) == (16, "tree", None)
    assert second.forward_first is not None
    assert second.forward_first[5] == 80
    assert second.backward_first is not None
    assert (second.backward_first[0], second.backward_first[499]) == (1, 0)
    assert (last.bounds, last.block_lanes) == ((0, 10), 4)
    assert last.input_bounds == second.bounds


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=5),
    cores=st.integers(1, 6),
    rows=st.sampled_from([1, 2, 4]),
    columns=st.sampled_from([1, 2, 4]),
)
def test_every_weight_lies_in_one_place(sizes: list[int], cores: int, rows: int, columns: int) -> None:
    machine = Machine(name="t", core_rows=1, cores_per_row=cores, pe_rows=rows, pe_cols=columns, ring_words_per_cycle=1)
    network = Network.mlp(*sizes)
    for layout in make_layouts(network, machine):
        for layer in network.layers:
            at = layout.weight_places(layer.index)
            core, lane, word, row, column = np.broadcast_arrays(at.core, at.lane, at.word, at.row, at.column)
            real = (row >= 0) & (column >= 0)
            found = list(zip(row[real].tolist(), column[real].tolist(), strict=True))
            assert set(found) == {(i, j) for i in range(layer.inputs) for j in range(layer.outputs)}
            held = set(zip(core[real].tolist(), lane[real].tolist(), word[real].tolist(), strict=True))
            assert len(held) == len(found)
            if layer.index < network.depth:  # of the last layer's, lanes that keep the same inputs have copies
                assert len(found) == layer.weights


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (
            replace(PAPER_A, pe_sram_bytes=1024, core_sram_bytes=1024),
            "the SRAM of a core needs 44064 bytes and has 1024: raise core_sram_bytes, or, for what does not fit MEM A",
        ),
        (replace(PAPER_A, pe_mem_b_bytes=128), "MEM B of a PE needs 214 bytes and has 128: raise pe_mem_b_bytes"),
        (replace(PAPER_A, pe_registers=1), "the register file of a PE needs"),
        (replace(PAPER_B, pe_mem_b_bytes=16), "MEM B of a PE needs"),
    ],
)
def test_what_does_not_fit_says_by_how_much(machine: Machine, message: str) -> None:
    answer = place(sgd()(SMALL), machine)
    assert isinstance(answer, Infeasible)
    assert str(answer).startswith(message)


def test_a_pipeline_too_deep_for_its_address_registers() -> None:
    answer = place_streamed(cp()(Network.mlp(*[4] * 11)), PAPER_A)
    assert isinstance(answer, Infeasible)
    assert answer.hint == "take fewer layers"


def test_a_queue_that_is_too_short() -> None:
    machine = Machine(
        name="t", core_rows=1, cores_per_row=2, pe_rows=1, pe_cols=4, ring_words_per_cycle=1, pe_mem_b_bytes=1 << 14
    )
    answer = place(sgd()(Network.mlp(8, 140, 140, 8)), machine)
    assert isinstance(answer, Infeasible)
    assert str(answer).startswith("the ring's receive queue needs 144 bytes and has 128")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            replace(mbcp(4), name="mine"),
            "--rule must be one of sgd, mbgd, fa, dfa, cp, mbcp for a simulation, got 'mine'",
        ),
        (mbcp(4, momentum=0.9, remedy="spike"), "--momentum must be 0 for a simulation, got 0.9"),
        (cp(momentum=0.9), "--momentum must be 0 for a simulation, got 0.9"),
        (sgd(momentum=0.9), "--momentum must be 0 for a simulation, got 0.9"),
    ],
)
def test_rules_that_are_not_placed(rule, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        place(rule(SMALL), PAPER_A)
    assert str(caught.value) == message


def test_requests_that_are_not_placed() -> None:
    with pytest.raises(UsageError, match="--mapping must be one of best, paper, got 'worst'"):
        place(sgd()(SMALL), PAPER_A, mapping="worst")
    with pytest.raises(UsageError, match="pe_rows must be a power of two for a simulation, got 3"):
        place(sgd()(SMALL), replace(PAPER_A, pe_rows=3))
    with pytest.raises(UsageError, match="activation must be relu for a simulation, got 'tanh'"):
        place(sgd()(Network.mlp(8, 8, 8, activation="tanh")), PAPER_A)
    with pytest.raises(UsageError, match="neighbour_links must be true for a simulation"):
        place(sgd()(SMALL), replace(PAPER_A, neighbour_links=False))
    with pytest.raises(UsageError, match="pe_sram_word_bits must be at most 64 with fma_latency 2 for a simulation"):
        place(sgd()(SMALL), replace(PAPER_A, pe_sram_word_bits=128, fma_latency=2))
    with pytest.raises(UsageError, match="sizes must end in at most 4096 for a simulation, got 4097"):
        place(sgd()(Network.mlp(8, 8, 4097)), PAPER_A)
    with pytest.raises(UsageError, match=r"sizes must have at least 3 entries .* for a simulation, got 2"):
        place(sgd()(Network.mlp(8, 8)), PAPER_A)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 4]),
    cores=st.integers(1, 4),
    latency=st.integers(2, 4),
    links=st.integers(1, 4),
    mem_b=st.sampled_from([128, 512]),
    hidden=st.lists(st.integers(4, 40), min_size=1, max_size=3),
    rule=st.sampled_from([sgd(), mbgd(2), mbgd(3), mbgd(8), fa(4), dfa(2), dfa(4), cp()]),
)
def test_best_is_never_worse_than_the_papers_placement(
    rows: int, cores: int, latency: int, links: int, mem_b: int, hidden: list[int], rule: Rule
) -> None:
    """What it places, best does; and but for single samples, where best has reasons of its own, in as many cycles."""
    machine = Machine(
        name="square",
        core_rows=1,
        cores_per_row=cores,
        pe_rows=rows,
        pe_cols=rows,
        fma_latency=latency,
        ring_words_per_cycle=links,
        core_sram_words_per_cycle=links,
        pe_mem_b_bytes=mem_b,
    )
    program = rule(Network.mlp(30, *hidden, 10))
    paper = place(program, machine, mapping="paper")
    assume(isinstance(paper, Schedule))
    assert isinstance(paper, Schedule)
    best = place(program, machine)
    assert isinstance(best, Schedule)
    assert best.mapping == "best"
    assert rule.name == "sgd" or best.steady.cycles <= paper.steady.cycles


def test_where_the_papers_placement_is_taken() -> None:
    """docs/machine.md: direct feedback in small batches; batches that are not even; too few registers."""
    direct, odd = (place(rule(SMALL), PAPER_A) for rule in (dfa(2), mbgd(3)))
    tight = place(sgd()(SMALL), replace(PAPER_A, pe_registers=4))
    for schedule in (direct, odd, tight):
        assert isinstance(schedule, Schedule)
        assert schedule.mapping == "best"
    assert isinstance(direct, Schedule)
    assert direct.steady.cycles == 10_453  # the own takes 10,973
