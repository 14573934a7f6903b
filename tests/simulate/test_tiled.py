"""Mini-batches whose weights come from the core SRAMs give the trainer's weights to the last bit, as estimated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible, UsageError
from caterpillar.counters import Counters
from caterpillar.datasets import Samples
from caterpillar.estimate.schedule import predict
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.tiled import place_tiled
from caterpillar.mapping.tiled.layout import WINDOW, Layout, first_at_once, make_layout
from caterpillar.network import Network
from caterpillar.rules import Rule, dfa, mbcp, mbgd
from caterpillar.simulate import simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)
MACHINES = st.builds(
    Machine,
    name=st.just("random"),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 3),
    pe_rows=st.sampled_from([1, 2, 4]),
    pe_cols=st.sampled_from([1, 2, 4]),
    fma_latency=st.integers(2, 6),
    pe_sram_word_bits=st.sampled_from([16, 32, 64]),
    pe_registers=st.just(8),
    pe_mem_b_bytes=st.just(2048),
    ring_words_per_cycle=st.integers(1, 4),
    core_sram_words_per_cycle=st.integers(1, 4),
).filter(lambda machine: machine.pes_per_core > 1)


def streaming(machine: Machine, network: Network, rule: Rule, share: float) -> Machine:
    """With room in MEM A for a share of the weights only, beside all else."""
    first = min(first_at_once(machine, rule.batch), key=lambda n: n > machine.pe_registers)
    layout = make_layout(network, machine, rule.name, rule.batch, rule.batch, first)
    blocks = [(layer.positions * block.count) for layer in layout.layers for block in layer.blocks]
    at_once = max(layer.at_once for layer in layout.layers)
    window = max(2 * at_once * machine.pes_per_core, WINDOW * machine.pe_registers)
    words = layout.mem_a_words - sum(blocks) + window + int(share * sum(blocks))
    return replace(machine, pe_sram_bytes=max(64, 2 * words))


def placed(network: Network, machine: Machine, rule: Rule) -> Schedule:
    schedule = place_tiled(rule(network), machine, rule.name)
    assert isinstance(schedule, Schedule)
    return schedule


def streamed(schedule: Schedule) -> list[bool]:
    assert isinstance(schedule.layout, Layout)
    return [block.streamed for layer in schedule.layout.layers for block in layer.blocks]


def agree(schedule: Schedule, rule: Rule, batches: int, seed: int) -> None:
    network = schedule.network
    program, samples = rule(network), rule.batch * batches
    how = Settings(learning_rate=0.1, epochs=1, seed=seed, numerics="fp16")
    random = np.random.default_rng(seed)
    pixels = random.random((samples, network.inputs)) * (random.random((samples, network.inputs)) < 0.6)
    images, labels = pixels.astype(np.float16), random.integers(0, network.outputs, samples)
    given_samples = Samples(images=images.astype(np.float32), labels=labels)
    *_, last = train(program, given_samples, how, test=given_samples, order=schedule.order)
    start, visits = initial_state(program, how), shuffled(seed, 1, samples)
    fixed = tuple(b if b.size else None for b in start.feedback) if rule.name == "dfa" else ()
    run = simulate(schedule, start.weights, images[visits], labels[visits], how.learning_rate, feedback=fixed)
    for index, (got, want) in enumerate(zip(run.weights, last.state.weights, strict=True), start=1):
        assert (got != start.weights[index - 1]).any() or not (want != start.weights[index - 1]).any()
        np.testing.assert_array_equal(got, want, err_msg=f"layer {index}")
    assert predict(schedule).cycles(samples) == run.cycles
    assert sum(predict(schedule).phases(samples).values(), start=Counters()) == run.counters


@settings(max_examples=5, deadline=None)
@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(12, 48), min_size=3, max_size=4),
    outputs=st.integers(1, 20),
    make=st.sampled_from((mbgd, dfa, mbcp)),
    pairs=st.integers(1, 3),
    share=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
)
@example(  # in layer 2, a turn's last group has fewer outputs than the next one's first
    machine=Machine(
        name="t",
        core_rows=2,
        cores_per_row=3,
        pe_rows=4,
        pe_cols=2,
        fma_latency=6,
        pe_mem_b_bytes=2048,
        core_sram_words_per_cycle=3,
        ring_words_per_cycle=4,
    ),
    sizes=[44, 44, 34, 41],
    outputs=5,
    pairs=2,
    make=mbgd,
    share=0.17,
    seed=1,
)
def test_on_random_machines_and_networks(
    machine: Machine,
    sizes: list[int],
    outputs: int,
    make: Callable[[int], Rule],
    pairs: int,
    share: float,
    seed: int,
) -> None:
    network, rule = Network.mlp(*sizes, outputs), make(2 * pairs)
    try:
        schedule = place_tiled(rule(network), streaming(machine, network, rule, share), rule.name)
    except UsageError as error:
        if "no plan in which all words come in time" not in str(error):
            raise
        reject()
    if isinstance(schedule, Infeasible):
        reject()
    agree(schedule, rule, 3, seed)


@pytest.mark.parametrize(
    ("sizes", "rule"),
    [
        ((40, 160, 80, 10), mbgd(4)),  # own positions in two parts
        ((40, 160, 80, 10), dfa(4)),
        ((40, 160, 80, 10), mbcp(4)),
        ((40, 8, 200, 48, 10), mbgd(8)),  # a layer of a single group of outputs a core, and one of several blocks
        ((40, 8, 200, 48, 10), dfa(8)),  # more own positions than the FMA has stages
        ((100, 121, 66, 7), mbgd(16)),  # sub-batches, blocks and tiles that are not full
        ((100, 121, 66, 7), mbcp(16)),
    ],
    ids=lambda value: value.label if isinstance(value, Rule) else "",
)
def test_where_weights_come_from_the_core_sram(sizes: tuple[int, ...], rule: Rule) -> None:
    machine = Machine(name="t", cores_per_row=2, pe_rows=2, pe_cols=4, ring_words_per_cycle=2, pe_mem_b_bytes=1024)
    network = Network.mlp(*sizes)
    schedule = placed(network, streaming(machine, network, rule, 0.4), rule)
    assert any(streamed(schedule))
    assert not all(streamed(schedule))
    agree(schedule, rule, 6 if rule.name == "mbcp" else 2, 3)


@pytest.mark.parametrize("rule", [mbgd(2), mbgd(6), mbcp(2)], ids=lambda rule: rule.label)
def test_where_a_tile_has_fewer_inputs_than_there_are_cores(rule: Rule) -> None:
    machine = Machine(
        name="t", cores_per_row=8, pe_rows=2, pe_cols=2, ring_words_per_cycle=2, pe_mem_b_bytes=1024, pe_registers=4
    )
    network = Network.mlp(45, 80, 66, 10)
    schedule = placed(network, streaming(machine, network, rule, 0.4), rule)
    assert isinstance(schedule.layout, Layout)
    units = schedule.layout.samples * schedule.layout.layers[0].at_once
    assert units < machine.cores == schedule.layout.slots
    agree(schedule, rule, 6, 3)


# in percent of peak what each reaches at least
@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "utilization"),
    [(mbgd(2), 0.34), (mbgd(16), 0.914), (dfa(2), 0.25), (dfa(8), 0.70), (mbcp(2), 0.35)],
    ids=lambda value: value.label if isinstance(value, Rule) else "",
)
def test_the_papers_large_network_on_its_machine(rule: Rule, utilization: float) -> None:
    schedule = place(rule(LARGE), PAPER_A)
    assert isinstance(schedule, Schedule)
    assert any(streamed(schedule))
    assert schedule.utilization > utilization
    agree(schedule, rule, 1, 5)


@pytest.mark.parametrize("rule", [mbgd(18), dfa(10), mbcp(4)], ids=lambda rule: rule.label)
def test_batches_too_large_for_both_memories_are_refused_with_what_would_fit(rule: Rule) -> None:
    short = place(rule(LARGE), PAPER_A)
    assert isinstance(short, Infeasible)
    fitting = {"mbgd": 16, "dfa": 8, "mbcp": 2}[rule.name]
    assert f"lower the batch to {fitting}" in short.hint
