"""docs/paper-mapping.md says of each phase what the micro-programs take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from caterpillar.estimate import Estimate, estimate
from caterpillar.machine import PAPER_A, PAPER_B
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import mbgd, sgd

PAGE = (Path(__file__).parents[2] / "docs" / "paper-mapping.md").read_text(encoding="utf-8")
CASES = {
    "N1": (Network.mlp(784, 500, 500, 500, 10), PAPER_A),
    "N3": (Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10), PAPER_B),
}
ROWS = {
    "products forward": ("forward",),
    "backward and update, layers 2 to L": ("backward, update",),
    "first layer: update": ("update",),
    "reduction forward and all-gather": ("reduce", "all-gather"),
    "reduction backward and reduce-scatter": ("reduce-scatter",),
    "softmax, output errors to all PEs": ("softmax", "spread errors"),
}


SGD_PAGE, BATCH_PAGE = PAGE.split("## Mini-batches")
BATCHES = (("N1", 8), ("N1", 50), ("N3", 8))


def numbers(row: str) -> list[int]:
    """A row's four numbers: N1 algebra, executed, N3 algebra, executed."""
    return [int(cell.replace(",", "")) for cell in cells(SGD_PAGE, row)[:4]]


def cells(page: str, row: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def phases(schedule: Schedule) -> dict[str, int]:
    """Cycles of a tick by kind of phase."""
    taken: dict[str, int] = {}
    for phase in schedule.steady.phases:
        kind = re.sub(r" \d+", "", phase.name)
        taken[kind] = taken.get(kind, 0) + phase.end - phase.start
    return taken


@pytest.mark.parametrize("case", CASES)
def test_the_table_of_phases(case: str) -> None:
    network, machine = CASES[case]
    algebra, executed = (0, 1) if case == "N1" else (2, 3)
    schedule = place(sgd()(network), machine, mapping="paper")
    assert isinstance(schedule, Schedule)
    taken = phases(schedule)
    for row, kinds in ROWS.items():
        assert numbers(row)[executed] == sum(taken.pop(kind) for kind in kinds), row
    assert not taken
    assert numbers("sum")[executed] == schedule.steady.cycles
    every = [numbers(row) for row in (*ROWS, "first layer: input error", "the first layer's input error, reduced")]
    between = numbers("between phases")[executed]
    assert sum(row[executed] for row in every) + between == schedule.steady.cycles
    assert abs(sum(row[algebra] for row in every) - numbers("sum")[algebra]) <= 2  # rounded


@pytest.mark.parametrize("case", CASES)
def test_the_algebra_of_the_page(case: str) -> None:
    network, machine = CASES[case]
    program = sgd()(network)
    timed, bare = (estimate(program, machine, input_error=error) for error in (True, False))
    assert isinstance(timed, Estimate)
    assert isinstance(bare, Estimate)
    said = {
        name: cells(SGD_PAGE, name)[0 if case == "N1" else 1]
        for name in (
            "cycles a sample, algebra",
            "cycles a sample, algebra without the input error",
            "the algebra, % of peak",
            "executed, % of peak on the same basis",
            "executed, useful multiply-adds only",
        )
    }
    schedule = place(program, machine, mapping="paper")
    assert isinstance(schedule, Schedule)
    assert list(said.values()) == [
        f"{timed.cycles_per_sample:,.0f}",
        f"{bare.cycles_per_sample:,.0f}",
        f"{100 * timed.compute_cycles / timed.cycles_per_sample:.1f}",
        f"{100 * timed.compute_cycles / schedule.steady.cycles:.1f}",
        f"{100 * schedule.utilization:.1f}",
    ]


@pytest.mark.parametrize("column", range(len(BATCHES)))
def test_the_table_of_batches(column: int) -> None:
    case, batch = BATCHES[column]
    network, machine = CASES[case]
    program = mbgd(batch)(network)
    schedule, algebra = place(program, machine, mapping="paper"), estimate(program, machine, input_error=True)
    assert isinstance(schedule, Schedule)
    assert isinstance(algebra, Estimate)
    taken = phases(schedule)
    kinds = {
        "products forward": ("forward",),
        "backward": ("backward",),
        "update": ("update",),
        "reduction forward and all-gather": ("reduce", "all-gather"),
        "reduction backward and reduce-scatter": ("reduce-scatter",),
        "softmax, output errors to all PEs": ("softmax", "spread errors"),
    }
    want = {row: f"{sum(taken.pop(kind) for kind in some) / batch:,.0f}" for row, some in kinds.items()}
    assert not taken
    want |= {
        "the algebra, % of peak": f"{100 * algebra.compute_cycles / algebra.cycles_per_sample:.1f}",
        "executed, % of peak on the same basis": f"{100 * algebra.compute_cycles / schedule.cycles_per_sample:.1f}",
        "executed, useful multiply-adds only": f"{100 * schedule.utilization:.1f}",
        "sum": f"{schedule.cycles_per_sample:,.0f}",
    }
    assert {row: cells(BATCH_PAGE, row)[column] for row in want} == want
