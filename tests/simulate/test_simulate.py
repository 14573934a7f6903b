"""The simulator gives the bits of a plain reference that adds in the schedule's order, on any machine."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import SpecError
from caterpillar.counters import Counters
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.isa import halves
from caterpillar.mapping.schedule import expand
from caterpillar.network import Network
from caterpillar.rules import dfa, fa, sgd
from caterpillar.simulate import count, simulate
from caterpillar.simulate.hazards import walk


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


reference = _load("reference")

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
    core_sram_words_per_cycle=st.integers(1, 5),
).map(lambda machine: machine if machine.fma_latency > 2 else replace(machine, pe_sram_word_bits=16))
SIZES = st.lists(st.integers(1, 20), min_size=3, max_size=5)


RULES = {"sgd": sgd(), "fa": fa(), "dfa": dfa()}


def scheduled(network: Network, machine: Machine, rule: str = "sgd") -> Schedule:
    schedule = place(RULES[rule](network), machine)
    assert isinstance(schedule, Schedule)
    return schedule


def tensors(network: Network, samples: int, seed: int) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    weights = tuple(
        (random.standard_normal((layer.inputs, layer.outputs)) / np.sqrt(layer.inputs)).astype(np.float16)
        for layer in network.layers
    )
    inputs = random.random((samples, network.inputs)).astype(np.float16)
    return weights, inputs, random.integers(0, network.outputs, samples)


def fixed_matrices(network: Network, rule: str, seed: int) -> tuple[np.ndarray | None, ...]:
    random = np.random.default_rng(seed)
    shapes: dict[str, list[tuple[int, int] | None]] = {
        "sgd": [],
        "fa": [None, *((layer.inputs, layer.outputs) for layer in network.layers[1:])],
        "dfa": [*((layer.outputs, network.outputs) for layer in network.layers[:-1]), None],
    }
    return tuple(s if s is None else (random.standard_normal(s) / 4).astype(np.float16) for s in shapes[rule])


@settings(max_examples=40, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)), seed=st.integers(0, 1 << 30))
def test_same_bits_as_the_reference(machine: Machine, sizes: list[int], rule: str, seed: int) -> None:
    network = Network.mlp(*sizes)
    schedule = scheduled(network, machine, rule)
    weights, inputs, labels = tensors(network, 3, seed)
    fixed = fixed_matrices(network, rule, seed)
    run = simulate(schedule, weights, inputs, labels, 0.05, feedback=fixed)
    expected = reference.train(rule, schedule.order, list(weights), inputs, labels, 0.05, fixed)
    for got, want in zip(run.weights, expected, strict=True):
        np.testing.assert_array_equal(got.view(np.uint16), want.view(np.uint16))


@settings(max_examples=25, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)), samples=st.integers(1, 5))
def test_epochs_from_fill_steady_and_drain_are_exact(
    machine: Machine, sizes: list[int], rule: str, samples: int
) -> None:
    schedule = scheduled(Network.mlp(*sizes), machine, rule)
    whole = [expand(program) for program in schedule.ticks(samples)]
    cycles, counters = count(schedule, samples)
    assert cycles == sum(len(part) for part in whole)
    whole_run = walk(whole, machine, warm=False, sram_beats=schedule.sram_beats)
    arriving = Counters(
        outside_words=(sizes[0] + 1) * samples, core_sram_write_words=sizes[0] * machine.cores * samples
    )
    assert counters == whole_run + arriving


@settings(max_examples=25, deadline=None)
@given(machine=MACHINES, sizes=SIZES, rule=st.sampled_from(sorted(RULES)))
def test_physical_bounds(machine: Machine, sizes: list[int], rule: str) -> None:
    network = Network.mlp(*sizes)
    schedule = scheduled(network, machine, rule)
    counters = walk([expand(schedule.steady)], machine, warm=True, sram_beats=schedule.sram_beats)
    macs = RULES[rule](network).macs_per_sample
    assert schedule.steady.cycles * machine.pes >= counters.fma >= macs
    assert 0 < schedule.utilization <= 1
    rows, columns = machine.cores * machine.pe_rows, machine.cores * machine.pe_cols
    assert counters.row_bus_words <= schedule.steady.cycles * rows
    assert counters.column_bus_words <= schedule.steady.cycles * columns
    links = machine.cores * 2 * min(machine.ring_words_per_cycle, machine.pe_rows)
    assert counters.ring_word_hops <= schedule.steady.cycles * links
    moved = counters.pe_sram_read_words + counters.pe_sram_write_words  # an access moves a group of words
    assert moved <= schedule.steady.cycles * machine.pes * halves(machine)
    mem_b = counters.mem_b_read_words + counters.mem_b_write_words
    assert mem_b <= 2 * schedule.steady.cycles * machine.pes


def test_learns_as_float_arithmetic_does() -> None:
    network = Network.mlp(784, 500, 500, 500, 10)
    schedule = scheduled(network, PAPER_A)
    weights, inputs, labels = tensors(network, 2, 7)
    run = simulate(schedule, weights, inputs, labels, 0.01)
    exact = [w.astype(np.float64) for w in weights]
    for x, label in zip(inputs.astype(np.float64), labels, strict=True):
        h = [x]
        for index, w in enumerate(exact):
            a = h[-1] @ w
            h.append(np.maximum(a, 0) if index < 3 else np.exp(a - a.max()) / np.exp(a - a.max()).sum())
        d = h[-1] - np.eye(10)[label]
        for index in reversed(range(4)):
            before = (exact[index] @ d) * (h[index] > 0)
            exact[index] -= 0.01 * np.outer(h[index], d)
            d = before
    for got, want in zip(run.weights, exact, strict=True):
        np.testing.assert_allclose(got.astype(np.float64), want, atol=2e-3)


def test_leaves_its_arguments_alone_and_repeats() -> None:
    network = Network.mlp(9, 8, 4)
    machine = Machine(name="tiny", cores_per_row=1, pe_rows=2, pe_cols=2, ring_words_per_cycle=2)
    schedule = scheduled(network, machine)
    weights, inputs, labels = tensors(network, 2, 1)
    before = [w.copy() for w in weights]
    runs = [simulate(schedule, weights, inputs, labels, 0.1) for _ in range(2)]
    assert all((a == b).all() for a, b in zip(weights, before, strict=True))
    assert all((a == b).all() for a, b in zip(runs[0].weights, runs[1].weights, strict=True))


def test_refuses_wrong_shapes() -> None:
    network = Network.mlp(9, 8, 4)
    machine = Machine(name="tiny", cores_per_row=1, pe_rows=2, pe_cols=2, ring_words_per_cycle=2)
    weights, inputs, labels = tensors(network, 2, 1)
    with pytest.raises(SpecError, match=r"inputs must have the shape \(2, 9\), got \(2, 8\)"):
        simulate(scheduled(network, machine), weights, inputs[:, :8], labels, 0.1)
    with pytest.raises(SpecError, match="weights must have the shapes"):
        simulate(scheduled(network, machine), weights[:1], inputs, labels, 0.1)
    with pytest.raises(SpecError, match=r"feedback must have the shapes \[\(8, 4\), None\], got \[\]"):
        simulate(scheduled(network, machine, "dfa"), weights, inputs, labels, 0.1)
