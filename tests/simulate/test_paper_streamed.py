"""The paper's mapping where weights stream: the trainer's bits, the estimate's counts, each weight in one place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible
from caterpillar.counters import Counters
from caterpillar.datasets import Samples
from caterpillar.estimate.schedule import predict
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.encoding import decode, encode
from caterpillar.mapping.paper.streamed import place_streamed
from caterpillar.mapping.paper.streamed.layout import StreamedLayout
from caterpillar.mapping.schedule import expand
from caterpillar.network import Network
from caterpillar.rules import dfa, fa, sgd
from caterpillar.simulate import count, simulate
from caterpillar.train import Settings, initial_state, train
from caterpillar.train.random import shuffled

RULES = {"sgd": sgd(), "dfa": dfa()}
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


def square(rows: int, **sizes: int) -> Machine:
    return Machine(name="random", pe_rows=rows, pe_cols=rows, pe_registers=32, **sizes)


MACHINES = st.builds(
    square,
    st.sampled_from([1, 2, 4, 8]),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 4),
    fma_latency=st.integers(1, 8),
    pe_sram_bytes=st.sampled_from([64, 64, 128, 256, 1024]),
    pe_sram_word_bits=st.just(16),
    pe_mem_b_bytes=st.sampled_from([128, 512, 4096]),
    core_sram_bytes=st.sampled_from([4096, 16384, 524288]),
    ring_words_per_cycle=st.integers(1, 9),
    core_sram_words_per_cycle=st.integers(1, 9),
)
SIZES = st.lists(st.integers(1, 60), min_size=2, max_size=4).flatmap(
    lambda sizes: st.integers(1, 10).map(lambda outputs: [*sizes, outputs])
)


def streamed(network: Network, machine: Machine, rule: str) -> Schedule:
    """As placed where not all fits, whether it would or not: weights that fit MEM A stay there."""
    schedule = place_streamed(RULES[rule](network), machine)
    assume(isinstance(schedule, Schedule))
    assert isinstance(schedule, Schedule)
    return schedule


def agree(schedule: Schedule, samples: int, seed: int) -> None:
    """The weights of a run, over every one of its cycles, are the trainer's, and its events the estimate's."""
    program, network = RULES[schedule.rule](schedule.network), schedule.network
    how = Settings(learning_rate=0.03, epochs=1, seed=seed, numerics="fp16")
    random = np.random.default_rng(seed)
    pixels = random.random((samples, network.inputs)) * (random.random((samples, network.inputs)) < 0.6)
    images, labels = pixels.astype(np.float16), random.integers(0, network.outputs, samples)
    given_samples = Samples(images=images.astype(np.float32), labels=labels)
    *_, last = train(program, given_samples, how, test=given_samples, order=schedule.order)
    start, visits = initial_state(program, how), shuffled(seed, 1, samples)
    fixed = tuple(b if b.size else None for b in start.feedback) if schedule.rule == "dfa" else ()
    run = simulate(schedule, start.weights, images[visits], labels[visits], how.learning_rate, feedback=fixed)
    for index, (got, want) in enumerate(zip(run.weights, last.state.weights, strict=True), start=1):
        np.testing.assert_array_equal(got.view(np.uint16), want.view(np.uint16), err_msg=f"layer {index}")
    prediction = predict(schedule)
    assert prediction.cycles(samples) == run.cycles
    assert sum(prediction.phases(samples).values(), start=Counters()) == run.counters


@settings(max_examples=60, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)), seed=st.integers(0, 1000))
def test_the_weights_are_the_trainers(machine: Machine, sizes: list[int], rule: str, seed: int) -> None:
    agree(streamed(Network.mlp(*sizes), machine, rule), 8, seed)


@settings(max_examples=100, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)), samples=st.integers(1, 4))
def test_the_estimate_counts_as_the_simulator(machine: Machine, sizes: list[int], rule: str, samples: int) -> None:
    schedule = streamed(Network.mlp(*sizes), machine, rule)
    prediction = predict(schedule)
    cycles, counters = count(schedule, samples)
    assert prediction.cycles(samples) == cycles
    assert sum(prediction.phases(samples).values(), start=Counters()) == counters


@settings(max_examples=60, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)))
def test_every_weight_lies_in_one_place(machine: Machine, sizes: list[int], rule: str) -> None:
    network = Network.mlp(*sizes)
    schedule, there = streamed(network, machine, rule), 0
    held: set[tuple[int, int, bool, int]] = set()
    for layer in network.layers:
        at = schedule.layout.weight_places(layer.index)
        assert at.streamed is not None
        fields = (at.row, at.column, at.core, at.lane, at.streamed, at.word)
        row, column, core, lane, streams, word = np.broadcast_arrays(*fields)
        real = (row >= 0) & (column >= 0)
        found = list(zip(row[real].tolist(), column[real].tolist(), strict=True))
        assert sorted(found) == [(i, j) for i in range(layer.inputs) for j in range(layer.outputs)]
        for s, words in ((False, schedule.layout.mem_a_words), (True, schedule.sram_beats)):
            assert ((word >= 0) & (word < words))[real & (streams == s)].all()
        lane = np.where(streams, lane % machine.pe_rows, lane)  # a beat is of a column of PEs
        places = list(
            zip(core[real].tolist(), lane[real].tolist(), streams[real].tolist(), word[real].tolist(), strict=True)
        )
        assert len(set(places)) == layer.weights
        assert not held & set(places)
        held |= set(places)
        there += int(streams[real].sum())
    assert there == schedule.streamed_weights


@settings(max_examples=20, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)))
def test_a_program_fits_the_control_word(machine: Machine, sizes: list[int], rule: str) -> None:
    schedule = streamed(Network.mlp(*sizes), machine, rule)
    control = expand(schedule.steady, schedule.queues, tick=3)
    np.testing.assert_array_equal(decode(encode(control)), control)


@settings(max_examples=20, deadline=None)
@given(size=st.sampled_from([(4, 1, 1), (8, 2, 1), (8, 1, 5)]), sizes=SIZES, seed=st.integers(0, 1000))
def test_where_an_updated_weight_is_ready_as_its_beat_ends(
    size: tuple[int, int, int], sizes: list[int], seed: int
) -> None:
    """A beat takes three cycles more than a multiply-add: going back at once meets the error sum's port."""
    rows, words, latency = size
    machine = square(
        rows,
        cores_per_row=2,
        ring_words_per_cycle=2,
        pe_sram_bytes=64,
        pe_mem_b_bytes=4096,
        core_sram_words_per_cycle=words,
        fma_latency=latency,
    )
    agree(streamed(Network.mlp(*sizes), machine, "sgd"), 6, seed)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_large_network_on_the_papers_small_machine(rule: str) -> None:
    schedule = place(RULES[rule](LARGE), PAPER_A, mapping="paper")
    assert isinstance(schedule, Schedule)
    assert isinstance(schedule.layout, StreamedLayout)
    agree(schedule, 2, 5)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_core_srams_bandwidth_bounds_the_large_network(rule: str) -> None:
    """Streamed weights come twice and go back once, 4 words a cycle on paper-a; the rest takes a seventh."""
    schedule = place(RULES[rule](LARGE), PAPER_A, mapping="paper")
    assert isinstance(schedule, Schedule)
    words = PAPER_A.cores * PAPER_A.core_sram_words_per_cycle
    least = 3 * schedule.streamed_weights / words
    assert least < schedule.steady.cycles < 1.17 * least
    events = predict(schedule).tick.counters
    sram = events.core_sram_read_words + events.core_sram_write_words
    assert sram <= schedule.steady.cycles * words


def test_weights_stream_only_where_they_do_not_fit() -> None:
    network = Network.mlp(30, 40, 30, 5)
    machine = Machine(name="t", core_rows=1, cores_per_row=2, pe_rows=2, pe_cols=2, ring_words_per_cycle=2)
    words = []
    for size in (4096, 1024, 512, 256):
        schedule = place(sgd()(network), replace(machine, pe_sram_bytes=size), mapping="paper")
        assert isinstance(schedule, Schedule)
        words.append(schedule.streamed_weights)
    assert words[0] == 0
    assert words == sorted(words)
    assert words[-1] > 0


def test_what_still_does_not_fit() -> None:
    """Feedback alignment streams nothing; core SRAM holds the others' weights and two samples' inputs."""
    answer = place(fa()(LARGE), PAPER_A, mapping="paper")
    assert isinstance(answer, Infeasible)
    assert str(answer).startswith("MEM A of a PE needs")
    answer = place(sgd()(LARGE), replace(PAPER_A, core_sram_bytes=262144), mapping="paper")
    assert isinstance(answer, Infeasible)
    assert str(answer).startswith("the SRAM of a core needs")
