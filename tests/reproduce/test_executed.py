"""The executed values of Table 2 and Fig. 10 are the simulator's."""

from __future__ import annotations

import pytest

from caterpillar.cost import PAPER, energy_pj
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.reproduce.executed import MAPPINGS, executed
from caterpillar.reproduce.machine_rows import fig10_rows, table2_rows
from caterpillar.rules import sgd
from caterpillar.simulate import count

SMALL = Network.mlp(784, 500, 500, 500, 10)
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_what_the_simulator_counts_in_another_sample(mapping: str) -> None:
    one = executed(SMALL, "sgd", PAPER_A, mapping)
    schedule = place(sgd()(SMALL), PAPER_A, mapping=mapping)
    assert isinstance(schedule, Schedule)
    assert one is not None
    (cycles, events), (more, further) = count(schedule, 3), count(schedule, 4)
    assert one.cycles_per_sample == more - cycles
    picojoules = sum(energy_pj(further + events * -1, PAPER.of(PAPER_A)).values())
    assert one.gflops_per_watt == pytest.approx(2000 * schedule.macs_per_sample / picojoules)


def test_none_where_it_does_not_fit_or_has_no_programs() -> None:
    assert executed(LARGE, "mbgd50", PAPER_A, "paper") is None
    assert executed(SMALL, "mbcp8", PAPER_A, "paper") is None


def test_rows_have_both_values_on_the_basis_of_ours() -> None:
    row = next(row for row in fig10_rows() if (row.case, row.rule, row.quantity) == ("N1", "sgd", "percent_of_peak"))
    one = executed(SMALL, "sgd", PAPER_A, "paper")
    assert one is not None
    assert row.paper_mapping == pytest.approx(100 * 3 * SMALL.weights / (PAPER_A.pes * one.cycles_per_sample))
    assert f"paper {one.utilization:.1%}" in row.note
    for case, network in (("N1", SMALL), ("N2", LARGE)):
        row = next(row for row in table2_rows() if (row.case, row.rule) == (case, "sgd"))
        one = executed(network, "sgd", PAPER_A, "paper")
        assert one is not None
        assert row.paper_mapping == one.gflops_per_watt
        assert row.best_mapping is not None
