"""The executed values of Table 2 and Fig. 10 are the simulator's."""

from __future__ import annotations

import pytest

from caterpillar.cost import PAPER, energy_pj
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.reproduce import executed as module
from caterpillar.reproduce.executed import MAPPINGS, cells, execute_all, executed
from caterpillar.reproduce.machine_rows import fig10_rows, table2_rows
from caterpillar.rules import sgd
from caterpillar.simulate import count

SMALL = Network.mlp(784, 500, 500, 500, 10)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_what_the_simulator_counts_in_another_sample(mapping: str) -> None:
    one = executed(("N1", "sgd", mapping))
    schedule = place(sgd()(SMALL), PAPER_A, mapping=mapping)
    assert isinstance(schedule, Schedule)
    assert one is not None
    (cycles, events), (more, further) = count(schedule, 3), count(schedule, 4)
    assert one.cycles_per_sample == more - cycles
    picojoules = sum(energy_pj(further + events * -1, PAPER.of(PAPER_A)).values())
    assert one.gflops_per_watt == pytest.approx(2000 * schedule.macs_per_sample / picojoules)


def test_none_where_it_does_not_fit_or_has_no_programs() -> None:
    assert executed(("N2", "dfa8", "paper")) is None
    assert executed(("N2", "mbgd50", "paper")) is None
    assert executed(("N3", "mbcp8", "paper")) is None


def test_rows_where_weights_stream() -> None:
    one = executed(("N2", "sgd", "paper"))
    assert one is not None
    row = next(row for row in table2_rows({("N2", "sgd", "paper"): one}) if (row.case, row.rule) == ("N2", "sgd"))
    assert row.paper_mapping == one.gflops_per_watt


def test_every_cell_of_table_2_and_fig_10() -> None:
    assert set(cells()) == {(row.case, row.rule, mapping) for row in fig10_rows() for mapping in MAPPINGS}
    assert set(cells()) >= {(row.case, row.rule, mapping) for row in table2_rows() for mapping in MAPPINGS}
    assert len(cells()) == 2 * 3 * 15


def test_cells_placed_in_processes_and_what_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [("N1", "sgd", "paper"), ("N1", "sgd", "best"), ("N3", "mbcp8", "paper")]
    monkeypatch.setattr(module, "cells", lambda: few)
    told: list[tuple[str, int, int]] = []
    found = execute_all(2, lambda text, done, total: told.append((text, done, total)))
    assert {cell: found[cell] for cell in few[:2]} == {cell: executed(cell) for cell in few[:2]}
    assert few[2] not in found
    assert told == [("placing", 0, 2), ("placed N1 sgd", 1, 2), ("placed N3 mbcp8", 2, 2)]


def test_rows_have_both_values_on_the_basis_of_ours() -> None:
    one, two = executed(("N1", "sgd", "paper")), executed(("N1", "sgd", "best"))
    assert one is not None
    assert two is not None
    both = {("N1", "sgd", "paper"): one, ("N1", "sgd", "best"): two}
    rows = [row for row in fig10_rows(both) if (row.case, row.rule) == ("N1", "sgd")]
    row = next(row for row in rows if row.quantity == "percent_of_peak")
    assert row.paper_mapping == pytest.approx(100 * 3 * SMALL.weights / (PAPER_A.pes * one.cycles_per_sample))
    assert f"paper {one.utilization:.1%}, best {two.utilization:.1%}" in row.note
    row = next(row for row in table2_rows(both) if (row.case, row.rule) == ("N1", "sgd"))
    assert (row.paper_mapping, row.best_mapping) == (one.gflops_per_watt, two.gflops_per_watt)
    others = [row for row in fig10_rows(both) if (row.case, row.rule) != ("N1", "sgd")]
    assert {(row.paper_mapping, row.best_mapping) for row in others} == {(None, None)}
