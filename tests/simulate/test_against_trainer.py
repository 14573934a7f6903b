"""One program, two readers: the trainer, adding in the schedule's order, gives the simulator's weights to the bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.datasets import Samples, load_dataset
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import sgd
from caterpillar.simulate import simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

MACHINES = st.builds(
    Machine,
    name=st.just("random"),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 3),
    pe_rows=st.sampled_from([1, 2, 4]),
    pe_cols=st.sampled_from([1, 2, 4]),
    fma_latency=st.integers(1, 7),
    pe_registers=st.just(32),
    pe_mem_b_bytes=st.just(4096),
    ring_words_per_cycle=st.integers(1, 5),
)


def both(network: Network, machine: Machine, samples: Samples, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights after one epoch: the trainer's and the simulator's."""
    program = sgd()(network)
    schedule = place(program, machine)
    assert isinstance(schedule, Schedule)
    chosen = Settings(learning_rate=0.01, seed=seed, epochs=1, numerics="fp16")
    start = initial_state(program, chosen)
    (epoch,) = train(program, samples, chosen, test=samples, order=schedule.order)
    visit = shuffled(seed, 1, len(samples))
    images = samples.images[visit].astype(np.float16)
    run = simulate(schedule, start.weights, images, samples.labels[visit], chosen.learning_rate)
    return list(epoch.state.weights), list(run.weights)


def same_bits(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    """Equal halves; -0 counts as +0, as in State.weights_sha256."""
    return all(np.array_equal(a + np.float16(0), b + np.float16(0)) for a, b in zip(ours, theirs, strict=True))


@given(
    machine=MACHINES,
    sizes=st.lists(st.integers(1, 20), min_size=3, max_size=5),
    samples=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_random_networks_on_random_machines(machine: Machine, sizes: list[int], samples: int, seed: int) -> None:
    network = Network.mlp(*sizes)
    random = np.random.default_rng(seed)
    images = random.random((samples, sizes[0])).astype(np.float32)
    drawn = Samples(images=images, labels=random.integers(0, sizes[-1], samples))
    trained, simulated = both(network, machine, drawn, seed)
    assert same_bits(trained, simulated)


def test_mnist_on_the_paper_s_machine() -> None:
    data = load_dataset(samples=3)
    trained, simulated = both(Network.mlp(784, 500, 500, 500, 10), PAPER_A, data.train, seed=0)
    assert same_bits(trained, simulated)
    assert not same_bits(trained, [np.zeros_like(matrix) for matrix in trained])
