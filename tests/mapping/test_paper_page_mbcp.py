"""docs/paper-mapping.md says where the cycles of batches of continuous propagation go."""

from __future__ import annotations

from pathlib import Path

import pytest

from caterpillar.estimate import Estimate, estimate
from caterpillar.machine import PAPER_A, PAPER_B
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.paper.continuous_batches.layout import Layout, held
from caterpillar.network import Network
from caterpillar.rules import mbcp

PAGE = (Path(__file__).parents[2] / "docs" / "paper-mapping.md").read_text(encoding="utf-8")
MBCP_PAGE = PAGE.split("## Continuous propagation")[1].split("### Batches")[1]
CASES = {
    "N1": (Network.mlp(784, 500, 500, 500, 10), PAPER_A),
    "N3": (Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10), PAPER_B),
}
CP_BATCHES = (("N1", 2), ("N1", 4), ("N1", 8), ("N3", 2))
SLOW = (2, 3)


def cells(page: str, row: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def of_a_batch(schedule: Schedule) -> dict[str, float]:
    """A sample's cycles in mbcp by cause, on average over the cores."""
    layout, steady, cores, batch = schedule.layout, schedule.steady, schedule.machine.cores, schedule.batch
    assert isinstance(layout, Layout)
    found = dict.fromkeys(("left free in passes", "before a core's first pass", "between a core's passes"), 0.0)
    useful = schedule.macs_per_sample / schedule.machine.pes
    updates = schedule.network.weights / schedule.machine.pes / batch
    multiply_adds, ends = 0, [0] * cores
    for core, parts in layout.on.items():
        passes = [phase for phase in steady.groups[steady.group_of[core]].phases if phase.track == "compute"]
        here = sum(
            part.sums * held(stage) * ((3 if stage.back else 2) * batch + 1)
            for part in parts
            for stage in [layout.stages[part.layer - 1]]
        )
        length = sum(phase.end - phase.start for phase in passes)
        found["left free in passes"] += (length - here) / cores
        found["before a core's first pass"] += passes[0].start / cores
        found["between a core's passes"] += (passes[-1].end - passes[0].start - length) / cores
        multiply_adds += here
        ends[core] = passes[-1].end
    longest = max(ends)
    found |= {"shares that are not equal": longest - sum(ends) / cores, "after the last pass": steady.cycles - longest}
    each = {cause: cycles / batch for cause, cycles in found.items()}
    padding = multiply_adds / cores / batch - useful - updates
    return {"multiply-adds that count": useful, "a weight's update": updates, "padding": padding} | each


@pytest.mark.parametrize(
    "column", [pytest.param(i, marks=[pytest.mark.slow] if i in SLOW else []) for i in range(len(CP_BATCHES))]
)
def test_the_table_of_batches_of_continuous_propagation(column: int) -> None:
    case, batch = CP_BATCHES[column]
    network, machine = CASES[case]
    program = mbcp(batch)(network)
    schedule, algebra = place(program, machine, mapping="paper"), estimate(program, machine, input_error=True)
    assert isinstance(schedule, Schedule)
    assert isinstance(algebra, Estimate)
    causes = of_a_batch(schedule)
    assert sum(causes.values()) == pytest.approx(schedule.cycles_per_sample)
    want = {row: f"{cycles:,.0f}" for row, cycles in (causes | {"sum": schedule.cycles_per_sample}).items()}
    want |= {
        "the algebra, % of peak": f"{100 * algebra.compute_cycles / algebra.cycles_per_sample:.1f}",
        "executed, % of peak on the same basis": f"{100 * algebra.compute_cycles / schedule.cycles_per_sample:.1f}",
        "executed, useful multiply-adds only": f"{100 * schedule.utilization:.1f}",
    }
    assert {row: cells(MBCP_PAGE, row)[column] for row in want} == want


def test_the_bound_of_weights_that_stream() -> None:
    weights = CASES["N3"][0].weights / PAPER_A.pes
    cycles = (weights - PAPER_A.pe_sram_words) * 2 * PAPER_A.pe_cols * PAPER_A.pe_rows / 4
    said = PAGE.split("CP on N2 has a bound")[1]
    assert f"{weights:,.0f} of its weights" in said
    assert f"at least {cycles:,.0f} cycles, {300 * weights / cycles:.1f} % of peak" in said
    assert f"it would be {300 * weights / cycles * 5.24 / 4:.1f} %" in said
