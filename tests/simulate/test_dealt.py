"""Mini-batches whose values are dealt to the cores give the trainer's weights to the last bit, as estimated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible, UsageError
from caterpillar.counters import Counters
from caterpillar.estimate.schedule import predict
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.dealt import place_dealt
from caterpillar.mapping.dealt.layout import Layout, hands, make_layout
from caterpillar.network import Network
from caterpillar.rules import mbgd
from caterpillar.simulate import count
from tests.simulate.mini_batches import MACHINES, agree

LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


def holding(machine: Machine, network: Network, batch: int, share: float) -> Machine:
    """With room in MEM A for a share of the weights only, beside all else that the first choice of a hand needs."""
    large = replace(machine, pe_sram_bytes=1 << 20)
    layout = make_layout(network, large, batch, *next(hands(machine, batch)), 1)
    weights = sum(layer.own * layer.positions for layer in layout.layers)
    words = layout.mem_a_words - weights + 8 * machine.pes_per_core + 9 * machine.pe_registers + int(share * weights)
    return replace(machine, pe_sram_bytes=max(64, 2 * words))


def placed(network: Network, machine: Machine, batch: int) -> Schedule:
    schedule = place_dealt(mbgd(batch)(network), machine)
    assert isinstance(schedule, Schedule)
    return schedule


def streamed(schedule: Schedule) -> list[bool]:
    assert isinstance(schedule.layout, Layout)
    return [block.streamed for layer in schedule.layout.layers for block in layer.blocks]


@settings(max_examples=5, deadline=None)
@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(12, 48), min_size=4, max_size=4),
    outputs=st.integers(2, 8),
    pairs=st.integers(1, 3),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 1000),
)
def test_on_random_machines_and_networks(
    machine: Machine, sizes: list[int], outputs: int, pairs: int, share: float, seed: int
) -> None:
    network, batch = Network.mlp(*sizes, outputs), 2 * pairs
    try:
        schedule = place_dealt(mbgd(batch)(network), holding(machine, network, batch, share))
    except UsageError as error:
        if "no plan in which all words come in time" not in str(error):
            raise
        reject()
    if isinstance(schedule, Infeasible):
        reject()
    agree(schedule, mbgd(schedule.batch), 2, seed)


@pytest.mark.parametrize(
    ("sizes", "batch", "memory"),
    [
        ((40, 160, 80, 64, 10), 4, 600),  # own values in several places
        ((100, 121, 66, 35, 7), 8, 512),  # hands, tiles and blocks that are not full; errors wait for updates in turn
        ((60, 100, 80, 60, 80, 60, 5), 6, 256),  # sub-batches, two layers cut by inputs
    ],
)
def test_where_weights_come_from_the_core_sram(sizes: tuple[int, ...], batch: int, memory: int) -> None:
    machine = Machine(name="t", cores_per_row=3, pe_rows=2, pe_cols=4, ring_words_per_cycle=2, pe_mem_b_bytes=memory)
    network = Network.mlp(*sizes)
    schedule = placed(network, holding(machine, network, batch, 0.4), batch)
    assert any(streamed(schedule))
    assert not all(streamed(schedule))
    agree(schedule, mbgd(schedule.batch), 2, 3)


def test_a_batch_beyond_both_memories_is_refused_with_what_would_fit() -> None:
    short = place(mbgd(200)(LARGE), PAPER_A)
    assert isinstance(short, Infeasible)
    assert "lower the batch to" in short.hint


@pytest.mark.slow
def test_the_papers_large_network_and_batch_on_its_machine() -> None:
    schedule = place(mbgd(50)(LARGE), PAPER_A)
    assert isinstance(schedule, Schedule)
    assert isinstance(schedule.layout, Layout)
    assert schedule.utilization > 0.892
    cycles, counters = count(schedule, 50)
    assert cycles == schedule.steady.cycles
    assert sum(predict(schedule).phases(50).values(), start=Counters()) == counters
    agree(schedule, mbgd(schedule.batch), 1, 5)
