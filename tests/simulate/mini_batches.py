"""Random machines for mini-batches, and how a schedule is compared with the trainer and the estimate."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from caterpillar.counters import Counters
from caterpillar.datasets import Samples
from caterpillar.estimate.schedule import predict
from caterpillar.machine import Machine
from caterpillar.mapping import Schedule
from caterpillar.rules import Rule
from caterpillar.simulate import Run, simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

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


def agree(schedule: Schedule, rule: Rule, batches: int, seed: int) -> Run:
    """The weights are the trainer's, and cycles and events the estimate's."""
    network = schedule.network
    program, samples = rule(network), rule.batch * batches
    how = Settings(learning_rate=0.1, epochs=1, seed=seed, numerics="fp16")
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
    return run
