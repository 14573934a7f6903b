"""The simulator's weights are the trainer's, to the last bit, when the trainer adds in the schedule's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible, UsageError
from caterpillar.counters import Counters
from caterpillar.datasets import Samples
from caterpillar.estimate.schedule import predict
from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.pipeline import place_pipeline
from caterpillar.network import Network
from caterpillar.rules import cp, dfa, fa, mbcp, mbgd, sgd
from caterpillar.simulate import Run, simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

RULES = {"sgd": sgd(), "mbgd": mbgd(1), "fa": fa(), "dfa": dfa(), "cp": cp(), "mbcp": mbcp(1)}
MACHINES = st.builds(
    Machine,
    name=st.just("random"),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 3),
    pe_rows=st.sampled_from([1, 2, 4]),
    pe_cols=st.sampled_from([1, 2, 4, 8]),
    fma_latency=st.integers(1, 7),
    pe_sram_word_bits=st.sampled_from([16, 16, 32, 64, 128]),
    pe_registers=st.just(32),
    pe_mem_b_bytes=st.just(4096),
    ring_words_per_cycle=st.integers(1, 5),
).map(lambda machine: machine if machine.fma_latency > 2 else replace(machine, pe_sram_word_bits=16))


def agree(network: Network, machine: Machine, rule: str, samples: int, seed: int, epochs: int) -> Run:
    program = RULES[rule](network)
    schedule = place(program, machine)
    assert isinstance(schedule, Schedule)
    how = Settings(learning_rate=0.03, epochs=epochs, seed=seed, numerics="fp16")
    random = np.random.default_rng(seed)
    pixels = random.random((samples, network.inputs)) * (random.random((samples, network.inputs)) < 0.6)
    images = pixels.astype(np.float16)
    labels = random.integers(0, network.outputs, samples)
    given_samples = Samples(images=images.astype(np.float32), labels=labels)
    *_, last = train(program, given_samples, how, test=given_samples, order=schedule.order)
    start = initial_state(program, how)
    visits = np.concatenate([shuffled(seed, epoch, samples) for epoch in range(1, epochs + 1)])
    fixed = () if rule not in ("fa", "dfa") else tuple(b if b.size else None for b in start.feedback)
    run = simulate(schedule, start.weights, images[visits], labels[visits], how.learning_rate, feedback=fixed)
    for index, (got, want) in enumerate(zip(run.weights, last.state.weights, strict=True), start=1):
        assert (got != start.weights[index - 1]).any() or not (want != start.weights[index - 1]).any()
        np.testing.assert_array_equal(got, want, err_msg=f"layer {index}")
    return run


@settings(max_examples=20, deadline=None)
@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(2, 20), min_size=3, max_size=5),
    rule=st.sampled_from(sorted(RULES)),
    seed=st.integers(0, 1000),
)
def test_on_random_machines_and_networks(machine: Machine, sizes: list[int], rule: str, seed: int) -> None:
    # the trainer's pipeline drains after each epoch, the machine's at the end of a run
    epochs = 1 if rule in ("cp", "mbcp") else 2
    try:
        agree(Network.mlp(*sizes), machine, rule, 6, seed, epochs)
    except UsageError as error:
        if "no plan in which all words come in time" not in str(error):
            raise
        reject()


@settings(max_examples=8, deadline=None)
@given(
    cores=st.integers(1, 3),
    rows=st.sampled_from([1, 2]),
    columns=st.sampled_from([1, 2, 4]),
    latency=st.integers(2, 6),
    sizes=st.lists(st.integers(30, 60), min_size=5, max_size=6),
    seed=st.integers(0, 1000),
)
def test_cp_in_as_few_words_of_mem_b_as_can_be(
    cores: int, rows: int, columns: int, latency: int, sizes: list[int], seed: int
) -> None:
    """Then layers share words."""
    small = Machine(
        name="small",
        core_rows=1,
        cores_per_row=cores,
        pe_rows=rows,
        pe_cols=columns,
        fma_latency=latency,
        pe_mem_b_bytes=16,
        pe_registers=16,
        ring_words_per_cycle=2,
    )
    network = Network.mlp(*sizes)
    short = place_pipeline(RULES["cp"](network), small)  # place would try to let weights stream as well
    assert isinstance(short, Infeasible)
    fitting = replace(small, pe_mem_b_bytes=short.needs_bytes)
    schedule = place(RULES["cp"](network), fitting)
    assert isinstance(schedule, Schedule)
    assert 2 * schedule.layout.mem_b_words == short.needs_bytes
    agree(network, fitting, "cp", 4, seed, 1)


@settings(max_examples=8, deadline=None)
@given(
    cores=st.integers(2, 5),
    columns=st.sampled_from([1, 2, 4]),
    latency=st.integers(3, 6),
    bits=st.sampled_from([16, 64]),
    sizes=st.lists(st.integers(30, 90), min_size=4, max_size=5),
    seed=st.integers(0, 1000),
)
def test_cp_with_unequal_chunks(cores: int, columns: int, latency: int, bits: int, sizes: list[int], seed: int) -> None:
    """Each core has a program of its own, in the same cycles."""
    machine = Machine(
        name="uneven",
        core_rows=1,
        cores_per_row=cores,
        pe_rows=2,
        pe_cols=columns,
        fma_latency=latency,
        pe_sram_word_bits=bits,
        pe_mem_b_bytes=4096,
        pe_registers=16,
        ring_words_per_cycle=2,
    )
    network = Network.mlp(*sizes)
    schedule = place(RULES["cp"](network), machine)
    assert isinstance(schedule, Schedule)
    assume(schedule.steady.others)
    run = agree(network, machine, "cp", 4, seed, 1)
    assert run.counters == sum(predict(schedule).phases(4).values(), start=Counters())


@pytest.mark.parametrize("rule", sorted(RULES))
def test_on_the_papers_small_network_and_its_machine(rule: str) -> None:
    agree(Network.mlp(784, 500, 500, 500, 10), PAPER_A, rule, 4, 5, 1)


@pytest.mark.parametrize(
    ("sizes", "machine", "rule"),
    [
        ((784, 2500, 2000, 1500, 1000, 500, 10), PAPER_B, "sgd"),
        ((784, 2500, 2000, 1500, 1000, 500, 10), PAPER_B, "cp"),
        ((784, 500, 500, 500, 10), replace(PAPER_A, pe_sram_word_bits=64), "sgd"),
        ((784, 500, 500, 500, 10), replace(PAPER_A, pe_sram_word_bits=128), "cp"),
        # sums remain in blocks of 2 and of 1
        ((64, 120, 80, 10), replace(PAPER_A, core_rows=1, cores_per_row=2, pe_sram_word_bits=64), "cp"),
        ((64, 300, 120, 80, 10), replace(PAPER_A, core_rows=5, cores_per_row=1, pe_mem_b_bytes=1024), "cp"),
    ],
)
def test_on_split_lanes_and_wide_words(sizes: tuple[int, ...], machine: Machine, rule: str) -> None:
    agree(Network.mlp(*sizes), machine, rule, 2, 5, 1)
