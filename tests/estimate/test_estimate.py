"""The `paper` mapping's closed forms: by hand, against the algebra, and on any network and machine."""

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar import rules
from caterpillar.checks import Infeasible
from caterpillar.cost import PAPER, energy_pj
from caterpillar.estimate import SMALL_BATCH, Estimate, estimate
from caterpillar.machine import PAPER_A, PAPER_B, Machine
from caterpillar.network import Network
from caterpillar.rules import Rule

SMALL = Network.mlp(784, 500, 500, 500, 10)
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)

NETWORKS = st.lists(st.integers(1, 60), min_size=2, max_size=6).map(lambda sizes: Network.mlp(*sizes))
BATCHES = st.sampled_from([1, 2, 8, 9, 50])
RULES = st.one_of(
    st.builds(rules.sgd, momentum=st.sampled_from([0.0, 0.9])),
    st.builds(rules.cp, momentum=st.sampled_from([0.0, 0.9]), remedy=st.just("none")),
    *(st.builds(rule, batch=BATCHES, momentum=st.sampled_from([0.0, 0.9])) for rule in (rules.mbgd, rules.fa)),
    *(st.builds(rule, batch=BATCHES) for rule in (rules.dfa, rules.mbcp)),
)
MACHINES = st.builds(
    Machine,
    name=st.just("any"),
    core_rows=st.integers(1, 2),
    cores_per_row=st.integers(1, 4),
    pe_rows=st.integers(1, 5),
    pe_cols=st.integers(1, 5),
    pe_sram_bytes=st.sampled_from([256, 1024, 16384]),
    core_sram_bytes=st.sampled_from([0, 4096, 1 << 19]),
    core_sram_words_per_cycle=st.integers(1, 4),
    ring_words_per_cycle=st.integers(1, 5),
    neighbour_links=st.booleans(),
)


def feasible(network: Network, rule: Rule, machine: Machine, *, input_error: bool = False) -> Estimate:
    answer = estimate(rule(network), machine, input_error=input_error)
    assert isinstance(answer, Estimate)
    return answer


def test_smallest_case_by_hand() -> None:
    machine = Machine(name="m", core_rows=1, cores_per_row=2, pe_rows=2, pe_cols=2, ring_words_per_cycle=2)
    answer = feasible(Network.mlp(6, 4), rules.sgd(), machine)
    # 24 weights: forward and update are 48 MACs on 8 PEs; 4 outputs at log2(2) / 2 cycles.
    assert (answer.compute_cycles, answer.collective_cycles, answer.off_core_cycles) == (6, 2, 0)
    assert answer.cycles_per_sample == 8
    counters = answer.counters
    assert (counters.fma, counters.pe_cycles) == (48, 64)
    assert (counters.pe_sram_read_words, counters.pe_sram_write_words) == (48 + 2 * 24, 24)
    assert (counters.row_bus_words, counters.column_bus_words) == (2 * 6 + 2 * 6, 4)
    assert (counters.neighbour_words, counters.ring_word_hops, counters.activation_words) == (4, 4, 4)
    assert answer.storage.matrix_words == 24
    assert answer.storage.activation_words == 10 + 4  # input and output, then the error beside them


@pytest.mark.parametrize(
    ("rule", "accesses"), [(rules.sgd(), 3), (rules.mbgd(50), 3), (rules.cp(), 2), (rules.mbcp(8), 2)]
)
@pytest.mark.parametrize(("network", "machine"), [(SMALL, PAPER_A), (LARGE, PAPER_A), (LARGE, PAPER_B)])
def test_counts_times_prices_are_the_papers_energy_model(
    network: Network, machine: Machine, rule: Rule, accesses: int
) -> None:
    answer = feasible(network, rule, machine)
    weights, macs, b = network.weights, 3 * network.weights - network.layers[0].weights, rule.batch
    f = answer.storage.off_core_share
    model = 2.63 * macs + 3.5 * (macs + accesses * weights * (1 - f) / b) + 16 * accesses * weights * f / b
    assert sum(energy_pj(answer.counters, PAPER).values()) == pytest.approx(1.1075 * model, rel=1e-12)


@pytest.mark.parametrize(("network", "machine"), [(SMALL, PAPER_A), (LARGE, PAPER_B)])
def test_cycles_are_the_papers_algebra(network: Network, machine: Machine) -> None:
    compute, words = 3 * network.weights / machine.pes, sum(network.sizes[:-1]) + sum(network.sizes[1:])
    nr = machine.pe_rows
    sgd = feasible(network, rules.sgd(), machine, input_error=True)
    assert sgd.cycles_per_sample == pytest.approx(compute + words * log2(nr) / nr)
    large = feasible(network, rules.mbgd(50), machine, input_error=True)
    assert large.cycles_per_sample == pytest.approx(compute + words * (1 - 1 / machine.cores) / nr)
    assert feasible(network, rules.cp(), machine, input_error=True).cycles_per_sample == pytest.approx(compute)
    dfa = feasible(network, rules.dfa(8), machine, input_error=True)
    direct = sum(network.sizes[:-1]) * network.outputs
    assert dfa.compute_cycles == pytest.approx((2 * network.weights + direct) / machine.pes)
    assert dfa.collective_cycles == pytest.approx(words * log2(nr) / nr)


def test_weights_that_do_not_fit_stream_from_off_core() -> None:
    answer = feasible(LARGE, rules.cp(), PAPER_A, input_error=True)
    f = answer.storage.off_core_share
    local = PAPER_A.pes * PAPER_A.pe_sram_words
    assert not answer.fits
    assert answer.storage.off_core_words == LARGE.weights + answer.storage.activation_words - local
    assert answer.cycles_per_sample == pytest.approx(2 * LARGE.weights * f / (5.24 * 32))
    assert (
        answer.counters.core_sram_read_words
        == answer.counters.core_sram_write_words
        == pytest.approx(LARGE.weights * f)
    )


def test_activations_waiting_in_a_pipeline_are_counted_tick_by_tick() -> None:
    # CP, two layers: an input enters with layer 1's forward and leaves with its update, three ticks later and just
    # before the next input enters: three batches side by side.
    answer = feasible(Network.mlp(100, 1, 1), rules.cp(), PAPER_A)
    assert 3 * 100 < answer.storage.activation_words <= 3 * 100 + 8
    assert feasible(Network.mlp(100, 1, 1), rules.sgd(), PAPER_A).storage.activation_words <= 100 + 4


def test_feedback_and_velocity_are_stored_and_moved() -> None:
    sgd, fa = feasible(SMALL, rules.sgd(), PAPER_A), feasible(SMALL, rules.fa(), PAPER_A)
    hidden = SMALL.weights - SMALL.layers[0].weights
    assert fa.storage.matrix_words == SMALL.weights + hidden
    assert fa.counters.pe_sram_read_words == sgd.counters.pe_sram_read_words + hidden
    heavy = feasible(SMALL, rules.sgd(momentum=0.9), PAPER_A)
    assert heavy.storage.matrix_words == 2 * SMALL.weights
    assert heavy.counters.pe_sram_write_words == 2 * SMALL.weights


def test_what_does_not_fit_anywhere_is_an_answer() -> None:
    answer = estimate(rules.fa()(LARGE), PAPER_A)
    assert isinstance(answer, Infeasible)
    assert answer.needs_bytes > answer.has_bytes == PAPER_A.core_sram_bytes
    assert "off-core SRAM" in str(answer)
    assert "raise core_sram_bytes" in str(answer)
    activations = estimate(rules.mbgd(60000)(SMALL), PAPER_A)
    assert isinstance(activations, Infeasible)
    assert "a batch of 60000" in str(activations)
    assert activations.has_bytes == PAPER_A.pe_sram_bytes


@settings(max_examples=200)
@given(NETWORKS, RULES, MACHINES, st.booleans())
def test_any_network_on_any_machine(network: Network, rule: Rule, machine: Machine, input_error: bool) -> None:
    program = rule(network)
    answer = estimate(program, machine, input_error=input_error)
    if isinstance(answer, Infeasible):
        assert answer.needs_bytes > answer.has_bytes
        return
    cycles, counters = answer.cycles_per_sample, answer.counters
    assert cycles == answer.compute_cycles + answer.off_core_cycles + answer.collective_cycles
    assert cycles >= program.macs_per_sample / machine.pes
    assert counters.fma == program.macs_per_sample
    assert counters.pe_cycles == pytest.approx(machine.pes * cycles, rel=1e-12)
    assert all(count >= 0 for count in counters.as_dict().values())
    assert answer.fits == (answer.storage.off_core_words == 0) == (counters.core_sram_read_words == 0)
    assert 0 <= answer.storage.off_core_share <= 1
    if not program.max_lag:  # the ring carries every layer's output, unless a pipeline hides it
        words = sum(network.sizes[1:])
        assert answer.collective_cycles >= words * (1 - 1 / machine.cores) / machine.ring_words_per_cycle * 0.999999


@given(NETWORKS, RULES)
def test_large_batches_never_cost_more_than_small_ones_in_accesses(network: Network, rule: Rule) -> None:
    answer = feasible(network, rule, PAPER_B)
    accesses = answer.counters.pe_sram_read_words + answer.counters.pe_sram_write_words - answer.counters.fma
    one = {"mbgd": rules.sgd, "mbcp": rules.cp}.get(rule.name)
    if one is not None and not rule.momentum:
        single = feasible(network, one(), PAPER_B).counters
        assert accesses * rule.batch == pytest.approx(
            single.pe_sram_read_words + single.pe_sram_write_words - single.fma
        )


def test_a_batch_is_large_above_the_papers_small_ones() -> None:
    small = feasible(SMALL, rules.mbgd(SMALL_BATCH), PAPER_A)
    assert small.cycles_per_sample == feasible(SMALL, rules.sgd(), PAPER_A).cycles_per_sample
    assert feasible(SMALL, rules.mbgd(SMALL_BATCH + 1), PAPER_A).cycles_per_sample < small.cycles_per_sample


def test_rectangular_cores_reduce_along_the_side_that_sums() -> None:
    def machine(rows: int, cols: int, *, links: bool = True) -> Machine:
        return Machine(
            name="m",
            core_rows=1,
            cores_per_row=1,
            pe_rows=rows,
            pe_cols=cols,
            ring_words_per_cycle=4,
            neighbour_links=links,
        )

    network = Network.mlp(7, 5)  # forward only: 5 outputs, summed over the rows
    assert feasible(network, rules.sgd(), machine(8, 2)).collective_cycles == 5 * 3 / 2
    assert feasible(network, rules.sgd(), machine(2, 8)).collective_cycles == 5 * 1 / 8
    assert feasible(network, rules.sgd(), machine(8, 2, links=False)).collective_cycles == 5 * 7 / 2
    assert feasible(network, rules.sgd(), machine(1, 1)).collective_cycles == 0
