"""docs/paper-mapping.md says where the cycles go when weights stream."""

from __future__ import annotations

import re
from pathlib import Path

from caterpillar.estimate import Estimate, estimate
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.paper.streamed.layout import StreamedLayout
from caterpillar.network import Network
from caterpillar.rules import dfa, sgd

PAGE = (Path(__file__).parents[2] / "docs" / "paper-mapping.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Weights that stream")[1].split("\n## ")[0]
LARGE = Network.mlp(784, 2500, 2000, 1500, 1000, 500, 10)
PASSES = 3  # forward, to be updated, and back


def cells(row: str) -> list[str]:
    line = next(line for line in SECTION.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def by_cause(schedule: Schedule) -> dict[str, float]:
    """Cycles of a sample."""
    layout, machine = schedule.layout, schedule.machine
    assert isinstance(layout, StreamedLayout)
    taken: dict[str, int] = {}
    for phase in schedule.steady.phases:
        kind = re.sub(r" \d+", "", phase.name)
        taken[kind] = taken.get(kind, 0) + phase.end - phase.start
    weights = PASSES * schedule.streamed_weights / (machine.cores * machine.core_sram_words_per_cycle)
    beats = PASSES * sum(layer.positions * layer.beats_of(layout.rows) for layer in layout.layers)
    passes = sum(taken[kind] for kind in ("forward", "backward, update", "update"))
    return {
        "weights to and from core SRAM": weights,
        "padding of these": beats - weights,
        "left between weights": passes - beats,
        "reduction forward and all-gathers": taken["reduce"] + taken["all-gather"],
        "reduction backward and reduce-scatter": taken["reduce-scatter"],
        "softmax, output errors to all PEs": taken["softmax"] + taken["spread errors"],
        "between phases": schedule.steady.cycles - sum(taken.values()),
        "sum": schedule.steady.cycles,
    }


def test_the_table_of_causes() -> None:
    program = sgd()(LARGE)
    schedule, algebra = place(program, PAPER_A, mapping="paper"), estimate(program, PAPER_A, input_error=True)
    bare = estimate(program, PAPER_A, input_error=False)
    assert isinstance(schedule, Schedule)
    assert isinstance(algebra, Estimate)
    assert isinstance(bare, Estimate)
    want = {row: f"{cycles:,.0f}" for row, cycles in by_cause(schedule).items()}
    assert {row: cells(row)[1] for row in want} == want
    forward = sum(layer.outputs for layer in LARGE.layers) / 2
    first = algebra.collective_cycles - bare.collective_cycles
    said = {
        "weights to and from core SRAM": algebra.compute_cycles + algebra.off_core_cycles,
        "reduction forward and all-gathers": forward,
        "reduction backward and reduce-scatter": algebra.collective_cycles - forward - first,
        "the first layer's input error, reduced": first,
        "sum": algebra.cycles_per_sample,
    }
    assert {row: cells(row)[0] for row in said} == {row: f"{cycles:,.0f}" for row, cycles in said.items()}


def test_the_figures() -> None:
    algebra = estimate(sgd()(LARGE), PAPER_A, input_error=True)
    wanted = ((sgd(), "paper"), (sgd(), "best"), (dfa(), "paper"))
    answer, other, fed = (evaluate(LARGE, rule, PAPER_A, mapping=mapping, executed=True) for rule, mapping in wanted)
    assert isinstance(answer, Evaluation)
    assert isinstance(other, Evaluation)
    assert isinstance(fed, Evaluation)
    assert isinstance(algebra, Estimate)
    want = {
        "the algebra, % of peak": f"{100 * algebra.compute_cycles / algebra.cycles_per_sample:.1f}",
        "executed, % of peak on the same basis": f"{100 * algebra.compute_cycles / answer.cycles_per_sample:.1f}",
        "executed, useful multiply-adds only": f"{100 * answer.utilization:.1f}",
        "GFLOPS/W executed, at the paper's prices": f"{answer.gflops_per_watt:.0f}",
    }
    assert {row: cells(row)[0] for row in want} == want
    assert f"`best` takes {other.cycles_per_sample:,.0f}" in SECTION
    assert (
        f"DFA of a sample takes {fed.cycles_per_sample:,.0f} cycles here, {fed.gflops_per_watt:.0f} GFLOPS/W" in SECTION
    )
