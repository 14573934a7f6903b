"""Mini-batches whose weights come from the core SRAMs give the trainer's weights to the last bit, as estimated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible, UsageError
from caterpillar.counters import Counters
from caterpillar.estimate.schedule import predict
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule
from caterpillar.mapping.tiled import place_tiled
from caterpillar.mapping.tiled.layout import WINDOW, Layout, make_layout
from caterpillar.network import Network
from caterpillar.rules import mbgd
from caterpillar.simulate import count
from tests.simulate.mini_batches import MACHINES, agree

LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


def streaming(machine: Machine, network: Network, batch: int, share: float) -> Machine:
    """With room in MEM A for a share of the weights only, beside all else."""
    layout = make_layout(network, machine, batch, batch)
    blocks = [(layer.positions * block.count) for layer in layout.layers for block in layer.blocks]
    at_once = max(layer.at_once for layer in layout.layers)
    window = max(2 * at_once * machine.pes_per_core, WINDOW * machine.pe_registers)
    words = layout.mem_a_words - sum(blocks) + window + int(share * sum(blocks))
    return replace(machine, pe_sram_bytes=max(64, 2 * words))


def placed(network: Network, machine: Machine, batch: int) -> Schedule:
    schedule = place_tiled(mbgd(batch)(network), machine)
    assert isinstance(schedule, Schedule)
    return schedule


def streamed(schedule: Schedule) -> list[bool]:
    assert isinstance(schedule.layout, Layout)
    return [block.streamed for layer in schedule.layout.layers for block in layer.blocks]


@settings(max_examples=5, deadline=None)
@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(12, 48), min_size=3, max_size=4),
    outputs=st.integers(2, 8),
    pairs=st.integers(1, 3),
    share=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
)
def test_on_random_machines_and_networks(
    machine: Machine, sizes: list[int], outputs: int, pairs: int, share: float, seed: int
) -> None:
    network, batch = Network.mlp(*sizes, outputs), 2 * pairs
    try:
        schedule = place_tiled(mbgd(batch)(network), streaming(machine, network, batch, share))
    except UsageError as error:
        if "no plan in which all words come in time" not in str(error):
            raise
        reject()
    if isinstance(schedule, Infeasible):
        reject()
    agree(schedule, 2, seed)


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [
        ((40, 160, 80, 10), 4),  # own positions in two parts
        ((40, 8, 200, 48, 10), 8),  # a layer of a single group of outputs a core, and one of several blocks
        ((100, 121, 66, 7), 16),  # sub-batches, blocks and tiles that are not full
    ],
)
def test_where_weights_come_from_the_core_sram(sizes: tuple[int, ...], batch: int) -> None:
    machine = Machine(name="t", cores_per_row=2, pe_rows=2, pe_cols=4, ring_words_per_cycle=2, pe_mem_b_bytes=1024)
    network = Network.mlp(*sizes)
    schedule = placed(network, streaming(machine, network, batch, 0.4), batch)
    assert any(streamed(schedule))
    assert not all(streamed(schedule))
    agree(schedule, 2, 3)


@pytest.mark.slow
def test_the_papers_large_network_on_its_machine() -> None:
    schedule = placed(LARGE, PAPER_A, 16)
    assert any(streamed(schedule))
    assert schedule.utilization > 0.914
    cycles, counters = count(schedule, 16)
    assert cycles == schedule.steady.cycles
    assert sum(predict(schedule).phases(16).values(), start=Counters()) == counters
    agree(schedule, 1, 5)
