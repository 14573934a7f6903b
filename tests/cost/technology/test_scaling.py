"""Scaling laws: the published polynomials, and that they point the right way."""

import itertools

import pytest

from caterpillar.checks import UsageError
from caterpillar.cost.technology.scaling import LOGIC_V, area_factor, delay_factor, energy_factor

NODES = (90, 65, 45, 32, 22)


def test_everything_is_relative_to_45_nm():
    assert area_factor(45) == 1
    assert energy_factor(45) == 1
    assert delay_factor(45, LOGIC_V[45]) == 1


def test_the_polynomials_are_the_published_ones():
    # the paper's corrected example: 65 nm at 1.3 V gives 2.604
    at_65 = energy_factor(65, 1.1) * (1.103 * 0.81 - 0.362 * 0.9 + 0.2767)
    assert at_65 == pytest.approx(3.755 * 1.21 - 4.398 * 1.1 + 1.975)
    assert delay_factor(45, 1.1) == pytest.approx(43.22 / 78.61, rel=1e-3)


def test_smaller_nodes_are_smaller_and_cheaper():
    for big, small in itertools.pairwise(NODES):
        assert area_factor(small) < area_factor(big)
        assert energy_factor(small) < energy_factor(big)


@pytest.mark.parametrize("node", NODES)
def test_more_volts_cost_more_and_are_faster(node):
    volts = [0.7 + 0.05 * step for step in range(9)]
    for low, high in itertools.pairwise(volts):
        assert energy_factor(node, low) < energy_factor(node, high)
        assert delay_factor(node, low) > delay_factor(node, high)


def test_outside_of_the_laws_is_refused():
    with pytest.raises(UsageError, match=r"volts must be in \[0.7, 1.1\]"):
        energy_factor(45, 0.5)
    with pytest.raises(UsageError, match="node_nm must be one of"):
        area_factor(28)
