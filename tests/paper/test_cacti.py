"""The paper's machines under `cacti` prices, nothing fitted: how near its printed areas and efficiencies."""

import pytest

from caterpillar.cost import CACTI
from caterpillar.evaluate import evaluate
from caterpillar.machine import PAPER_A, PAPER_B
from caterpillar.network import parse_network
from caterpillar.rules import parse_rule

SMALL, LARGE = "500-500-500-10", "2500-2000-1500-1000-500-10"


@pytest.mark.parametrize(("machine", "printed_mm2"), [(PAPER_A, 103.2), (PAPER_B, 178.9)])
def test_area_within_15_percent(machine, printed_mm2):
    result = evaluate(parse_network(SMALL), parse_rule("sgd"), machine, prices=CACTI)
    assert result.area_mm2 == pytest.approx(printed_mm2, rel=0.15)


def test_sgd_on_the_small_network_within_15_percent():
    result = evaluate(parse_network(SMALL), parse_rule("sgd"), PAPER_A, prices=CACTI)
    assert result.gflops_per_watt == pytest.approx(177, rel=0.15)


def test_cp_on_the_large_network_within_15_percent():
    result = evaluate(parse_network(LARGE), parse_rule("cp"), PAPER_B, prices=CACTI)
    assert result.gflops_per_watt == pytest.approx(211, rel=0.15)
    low, high = (2000 * result.macs_per_sample / pj for pj in reversed(result.energy_range_pj))
    assert low < 211 < high
