"""An Evaluation's figures follow from its counts and cycles; bad requests get one clear error."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar import rules
from caterpillar.checks import Infeasible, UsageError
from caterpillar.cost import CACTI, COMPONENTS, PAPER, Pricing
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import PAPER_A, Machine
from caterpillar.network import Network

SMALL = Network.mlp(784, 500, 500, 500, 10)
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


def feasible(network: Network, rule: rules.Rule, machine: Machine) -> Evaluation:
    result = evaluate(network, rule, machine)
    assert isinstance(result, Evaluation)
    return result


def test_smallest_case_by_hand() -> None:
    machine = Machine(
        name="m", core_rows=1, cores_per_row=2, pe_rows=2, pe_cols=2, ring_words_per_cycle=2, clock_hz=5e8
    )
    result = feasible(Network.mlp(6, 4), rules.sgd(), machine)
    assert (result.macs_per_sample, result.cycles_per_sample) == (48, 8)
    assert result.utilization == 48 / (8 * 8)
    energy = 1.1075 * (2.63 * 48 + 3.5 * (48 + 3 * 24))
    assert result.energy_pj_per_sample == pytest.approx(energy)
    assert result.seconds_per_sample == pytest.approx(16e-9)
    assert result.power_w == pytest.approx(energy * 1e-12 / 16e-9)
    assert result.gflops == pytest.approx(96 / 16)
    assert result.gflops_per_watt == pytest.approx(96 / energy * 1e3)
    assert result.gflops_per_mm2 == pytest.approx(6 / (8 * 0.0798 + 2 * 1.948))


@settings(max_examples=50)
@given(
    st.lists(st.integers(1, 80), min_size=2, max_size=5),
    st.sampled_from([rules.sgd(), rules.mbgd(50), rules.fa(2), rules.dfa(8), rules.cp(), rules.mbcp(4)]),
    st.integers(1, 8),
    st.integers(1, 8),
)
def test_definitions_hold_on_any_case(sizes: list[int], rule: rules.Rule, pe_rows: int, pe_cols: int) -> None:
    machine = Machine(name="any", cores_per_row=2, pe_rows=pe_rows, pe_cols=pe_cols, ring_words_per_cycle=pe_rows)
    result = feasible(Network.mlp(*sizes), rule, machine)
    assert 0 < result.utilization <= 1 + 1e-12  # the closed forms deal out fractions of a cycle, which round
    assert set(result.energy_pj) == set(COMPONENTS)
    assert math.isclose(sum(result.energy_pj.values()), result.energy_pj_per_sample)
    assert math.isclose(result.gflops / result.power_w, result.gflops_per_watt)
    peak = 2 * machine.pes * machine.clock_hz / 1e9
    assert math.isclose(result.gflops, peak * result.utilization)


def test_the_dictionary_is_json_and_has_what_the_command_promises() -> None:
    document = json.loads(json.dumps(feasible(SMALL, rules.mbgd(50), PAPER_A).as_dict(), allow_nan=False))
    promised = (
        "network rule batch machine mapping prices numerics fits macs_per_sample cycles_per_sample utilization "
        "energy_pj_per_sample energy_pj counts power_w gflops gflops_per_watt gflops_per_mm2 area_mm2"
    )
    assert set(promised.split()) <= set(document)
    assert (document["rule"], document["batch"], document["machine"]) == ("mbgd", 50, "paper-a")
    assert document["fits"] is True
    assert feasible(LARGE, rules.sgd(), PAPER_A).as_dict()["fits"] is False


def test_what_does_not_fit_is_an_answer() -> None:
    assert isinstance(evaluate(LARGE, rules.fa(), PAPER_A), Infeasible)


def test_bad_requests_name_what_is_allowed() -> None:
    with pytest.raises(UsageError, match=r"^--mapping must be one of paper.*, got 'quick'$"):
        evaluate(SMALL, rules.sgd(), PAPER_A, mapping="quick")
    with pytest.raises(UsageError, match=r"^--numerics must be one of fp16.*, got 'fp8'$"):
        evaluate(SMALL, rules.sgd(), PAPER_A, numerics="fp8")
    with pytest.raises(UsageError, match=r"table of 45 nm; machine paper-a has node_nm 22"):
        evaluate(SMALL, rules.sgd(), replace(PAPER_A, node_nm=22), prices=PAPER)


@pytest.mark.parametrize(
    ("rule", "mapping"),
    [(rule, "paper") for rule in (rules.sgd(), rules.cp(), rules.mbgd(50), rules.dfa(8))]
    + [(rule, "best") for rule in (rules.sgd(), rules.fa(), rules.dfa())],
)
@pytest.mark.parametrize("pricing", [PAPER, CACTI])
def test_energy_by_phase_adds_up_to_energy_by_component(rule: rules.Rule, mapping: str, pricing: Pricing) -> None:
    answer = evaluate(SMALL, rule, PAPER_A, mapping=mapping, prices=pricing)
    assert isinstance(answer, Evaluation)
    assert set(answer.energy_by_phase) == {"forward", "backward", "update", "collective", "off_core"}
    for component, pj in answer.energy_pj.items():
        assert sum(phase[component] for phase in answer.energy_by_phase.values()) == pytest.approx(pj)
    low, high = answer.energy_range_pj
    assert low <= answer.energy_pj_per_sample * (1 + 1e-12)
    assert answer.energy_pj_per_sample <= high * (1 + 1e-12)


@pytest.mark.parametrize(
    ("rule", "passes"), [(rules.sgd(), 8), (rules.fa(), 11), (rules.mbgd(50), 8 / 50), (rules.cp(), 0)]
)
def test_a_local_memory_that_answers_in_the_second_cycle_costs_a_cycle_a_pass(rule: rules.Rule, passes: float) -> None:
    network = Network.mlp(784, 500, 500, 500, 10)
    plain, late = (evaluate(network, rule, PAPER_A, prices=pricing) for pricing in (PAPER, CACTI))
    assert isinstance(plain, Evaluation)
    assert isinstance(late, Evaluation)
    assert CACTI.of(PAPER_A).pe_sram_late_cycles == 1
    assert late.cycles["memory"] == pytest.approx(passes)
    assert late.cycles_per_sample == pytest.approx(plain.cycles_per_sample + passes)
    assert late.counts.pe_cycles == pytest.approx(plain.counts.pe_cycles + passes * PAPER_A.pes)
    slow = replace(PAPER_A, clock_hz=5e8)
    in_time = evaluate(network, rule, slow, prices=CACTI)
    assert isinstance(in_time, Evaluation)
    assert in_time.cycles["memory"] == 0


def test_a_pass_that_streams_waits_for_the_slower_of_its_memories() -> None:
    """Eight passes a sample, on a machine too small for the weights."""
    small = replace(PAPER_A, pe_sram_bytes=2048)
    plain = feasible(SMALL, rules.sgd(), small)
    assert not plain.fits
    for local, core, late in ((1, 0, 1), (0, 5, 5), (2, 5, 5), (3, 2, 3)):
        prices = replace(PAPER, pe_sram_late_cycles=local, core_sram_late_cycles=core)
        answer = evaluate(SMALL, rules.sgd(), small, prices=prices)
        assert isinstance(answer, Evaluation)
        assert answer.cycles["memory"] == 8 * late
    roomy = evaluate(SMALL, rules.sgd(), PAPER_A, prices=replace(PAPER, core_sram_late_cycles=5))
    assert isinstance(roomy, Evaluation)
    assert roomy.cycles["memory"] == 0  # nothing streams


def test_the_schedule_waits_for_its_memory_too() -> None:
    """One stretch over each matrix forward (the first with its update) and one back, but for the first."""
    plain, late = (evaluate(SMALL, rules.sgd(), PAPER_A, mapping="best", prices=pricing) for pricing in (PAPER, CACTI))
    assert isinstance(plain, Evaluation)
    assert isinstance(late, Evaluation)
    assert late.cycles_per_sample == plain.cycles_per_sample + 2 * SMALL.depth - 1
