"""Batches under the paper's mapping: the trainer's bits, the estimate's counts, each way where memories are small."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.counters import Counters
from caterpillar.datasets import Samples
from caterpillar.estimate.schedule import predict
from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.network import Network
from caterpillar.rules import Rule, dfa, fa, mbgd
from caterpillar.simulate import simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

SMALL = Network.mlp(784, 500, 500, 500, 10)
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)
RULES = (mbgd, fa, dfa)


def square(rows: int, **sizes: int) -> Machine:
    return Machine(name="random", pe_rows=rows, pe_cols=rows, **({"pe_registers": 32, "pe_mem_b_bytes": 4096} | sizes))


MACHINES = st.builds(
    square,
    st.sampled_from([1, 2, 4, 8]),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 4),
    fma_latency=st.integers(1, 8),
    pe_registers=st.sampled_from([16, 32]),
    ring_words_per_cycle=st.integers(1, 9),
    core_sram_words_per_cycle=st.integers(1, 9),
)


def placed(network: Network, machine: Machine, rule: Rule) -> tuple[Schedule, BatchLayout]:
    schedule = place(rule(network), machine, mapping="paper")
    assert isinstance(schedule, Schedule)
    assert isinstance(schedule.layout, BatchLayout)
    return schedule, schedule.layout


def agree(network: Network, machine: Machine, rule: Rule, batches: int, seed: int) -> None:
    (schedule, _), program, samples = placed(network, machine, rule), rule(network), rule.batch * batches
    how = Settings(learning_rate=0.05, epochs=1, seed=seed, numerics="fp16")
    random = np.random.default_rng(seed)
    pixels = random.random((samples, network.inputs)) * (random.random((samples, network.inputs)) < 0.6)
    images, labels = pixels.astype(np.float16), random.integers(0, network.outputs, samples)
    given_samples = Samples(images=images.astype(np.float32), labels=labels)
    *_, last = train(program, given_samples, how, test=given_samples, order=schedule.order)
    start, visits = initial_state(program, how), shuffled(seed, 1, samples)
    fixed = tuple(b if b.size else None for b in start.feedback) if rule.name in ("fa", "dfa") else ()
    run = simulate(schedule, start.weights, images[visits], labels[visits], how.learning_rate, feedback=fixed)
    for index, (got, want) in enumerate(zip(run.weights, last.state.weights, strict=True), start=1):
        assert (got != start.weights[index - 1]).any() or not (want != start.weights[index - 1]).any()
        np.testing.assert_array_equal(got, want, err_msg=f"layer {index}")
    assert predict(schedule).cycles(samples) == run.cycles
    assert sum(predict(schedule).phases(samples).values(), start=Counters()) == run.counters
    assert run.counters.fma >= program.macs_per_sample * samples
    assert run.cycles * machine.pes >= run.counters.fma


@settings(max_examples=60, deadline=None)
@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(2, 40), min_size=3, max_size=5),
    make=st.sampled_from(RULES),
    batch=st.integers(2, 9),
    seed=st.integers(0, 1000),
)
def test_on_random_machines_and_networks(
    machine: Machine, sizes: list[int], make: Callable[[int], Rule], batch: int, seed: int
) -> None:
    agree(Network.mlp(*sizes), machine, make(batch), 2, seed)
