"""docs/paper-mapping.md says of each phase what the micro-programs take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from caterpillar.cost.control import program_bytes
from caterpillar.estimate import Estimate, estimate
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import PAPER_A, PAPER_B
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.isa import sram_beat_cycles
from caterpillar.mapping.paper.batches.layout import BatchLayout
from caterpillar.mapping.paper.continuous.layout import Layout
from caterpillar.network import Network
from caterpillar.rules import Rule, cp, dfa, mbgd, sgd

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
DFA_PAGE = BATCH_PAGE.split("### Direct feedback")[1]
CP_PAGE = PAGE.split("## Continuous propagation")[1].split("### Batches")[0]
BATCHES = (("N1", 8), ("N1", 50), ("N1", 100), ("N3", 8), ("N3", 50), ("N3", 100))
BATCH_ROWS = {
    "mbgd": {
        "products forward": ("forward",),
        "backward": ("backward",),
        "update": ("update",),
        "reduction forward and all-gather": ("reduce", "all-gather"),
        "reduction backward and reduce-scatter": ("reduce-scatter",),
        "softmax, output errors to core SRAM": ("softmax", "spread errors"),
    },
    "dfa": {
        "products forward": ("forward",),
        "output errors through the fixed matrices": ("backward", "reduce errors"),
        "update": ("update",),
        "reduction forward and all-gather": ("reduce", "all-gather"),
        "softmax, output errors to core SRAM": ("softmax", "spread errors"),
    },
}


def numbers(row: str) -> list[int]:
    """A row's four numbers: N1 algebra, executed, N3 algebra, executed."""
    return [int(cell.replace(",", "")) for cell in cells(SGD_PAGE, row)[:4]]


def cells(page: str, row: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def phases(schedule: Schedule) -> dict[str, int]:
    """Cycles of a tick by kind of phase; without what goes on beside another."""
    taken: dict[str, int] = {}
    for phase in (one for one in schedule.steady.phases if one.track == "compute"):
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
@pytest.mark.parametrize("rule", [mbgd, dfa], ids=["mbgd", "dfa"])
def test_the_tables_of_batches(rule: Callable[[int], Rule], column: int) -> None:
    case, batch = BATCHES[column]
    network, machine = CASES[case]
    page, program = (BATCH_PAGE if rule is mbgd else DFA_PAGE), rule(batch)(network)
    schedule, algebra = place(program, machine, mapping="paper"), estimate(program, machine, input_error=True)
    assert isinstance(schedule, Schedule)
    assert isinstance(algebra, Estimate)
    taken = phases(schedule)
    kinds = BATCH_ROWS[rule(batch).name]
    want = {row: f"{sum(taken.pop(kind, 0) for kind in some) / batch:,.0f}" for row, some in kinds.items()}
    assert not taken
    want |= {
        "the algebra, % of peak": f"{100 * algebra.compute_cycles / algebra.cycles_per_sample:.1f}",
        "executed, % of peak on the same basis": f"{100 * algebra.compute_cycles / schedule.cycles_per_sample:.1f}",
        "executed, useful multiply-adds only": f"{100 * schedule.utilization:.1f}",
        "sum": f"{schedule.cycles_per_sample:,.0f}",
    }
    assert {row: cells(page, row)[column] for row in want} == want
    if (rule, case, batch) == (mbgd, "N3", 50):
        causes = of_a_batch(schedule, algebra)
        want = {row: f"{cycles:,.0f}" for row, cycles in causes.items()}
        assert {row: cells(BATCH_PAGE, row)[0] for row in want} == want


def of_a_batch(schedule: Schedule, algebra: Estimate) -> dict[str, float]:
    """Cycles of a sample of a batch by cause."""
    layout, taken, batch = schedule.layout, phases(schedule), schedule.batch
    assert isinstance(layout, BatchLayout)
    multiply_adds = [layer.positions * layer.sums for layer in layout.layers]
    once, behind = sum(multiply_adds), sum(multiply_adds[1:])
    useful, sram = schedule.macs_per_sample / schedule.machine.pes, sram_beat_cycles(schedule.machine)
    loads = sum(layer.sums for layer in layout.layers) * sram
    found = {
        "multiply-adds that count": useful,
        "padding of outputs and inputs": 2 * once + behind - useful,
        "forward: a beat every 4 cycles in the last layer, latencies": taken["forward"] / batch - once,
        "forward: sums over the rows of PEs": taken["reduce"] / batch,
        "backward: cycles left free for sums, tails": taken["backward"] / batch - behind,
        "update: W <- W - (lr / b) G": once / batch,
        "update: errors from core SRAM": float(loads),
        "update: latencies": taken["update"] / batch - once - once / batch - loads,
        "softmax, output errors, last outputs to core SRAM": sum(
            taken[kind] for kind in ("softmax", "spread errors", "all-gather")
        )
        / batch,
    }
    found["between the phases"] = schedule.cycles_per_sample - sum(found.values())
    rows = layout.rows
    columns = sum(layout.cores * -(-layer.beats // rows) * (rows - 1) for layer in layout.layers[1:])
    ring = sum(layout.cores * layer.beats for layer in layout.layers[1:])
    forward = sum(-(-layer.sums // rows) * (rows - 1) for layer in layout.layers)
    return found | {
        "all": schedule.cycles_per_sample,
        "at Fig. 10's speed": algebra.compute_cycles / 0.959,
        "this placement's least: products, updates, additions of sums": 2 * once
        + behind
        + once / batch
        + columns
        + ring
        + forward,
    }


def of_a_tick(schedule: Schedule) -> dict[str, float]:
    """Cycles of a tick of cp by cause, on average over the cores."""
    layout, steady, cores = schedule.layout, schedule.steady, schedule.machine.cores
    assert isinstance(layout, Layout)
    useful = schedule.macs_per_sample / schedule.machine.pes
    found = dict.fromkeys(("left free between positions", "before a core's first pass", "between a core's passes"), 0.0)
    multiply_adds, ends = 0, list[int]()
    for core, parts in layout.on.items():
        passes = [phase for phase in steady.groups[steady.group_of[core]].phases if phase.track == "compute"]
        stages = [layout.stages[part.layer - 1] for part in parts]
        here = sum(
            part.sums * stage.rounds * stage.width * stage.beat.pace for part, stage in zip(parts, stages, strict=True)
        )
        length = sum(phase.end - phase.start for phase in passes)
        found["left free between positions"] += (length - here) / cores
        found["before a core's first pass"] += passes[0].start / cores
        found["between a core's passes"] += (passes[-1].end - passes[0].start - length) / cores
        multiply_adds += here
        ends.append(passes[-1].end)
    assert len(ends) == cores
    return found | {
        "multiply-adds that count": useful,
        "padding": multiply_adds / cores - useful,
        "shares that are not equal": max(ends) - sum(ends) / cores,
        "after the last pass": steady.cycles - max(ends),
    }


@pytest.mark.parametrize("case", CASES)
def test_the_tables_of_continuous_propagation(case: str) -> None:
    network, machine = CASES[case]
    program, place_of = cp()(network), 0 if case == "N1" else 1
    schedule, algebra = place(program, machine, mapping="paper"), estimate(program, machine, input_error=True)
    assert isinstance(schedule, Schedule)
    assert isinstance(algebra, Estimate)
    causes = of_a_tick(schedule)
    assert sum(causes.values()) == pytest.approx(schedule.steady.cycles)
    want = {row: f"{cycles:,.0f}" for row, cycles in (causes | {"sum": schedule.steady.cycles}).items()}
    assert {row: cells(CP_PAGE, row)[2 * place_of + 1] for row in want} == want
    input_error = algebra.cycles_per_sample - causes["multiply-adds that count"]
    assert cells(CP_PAGE, "first layer: input error")[2 * place_of] == f"{input_error:,.0f}"
    assert cells(CP_PAGE, "sum")[2 * place_of] == f"{algebra.cycles_per_sample:,.0f}"
    answer = evaluate(network, cp(), machine, mapping="paper", executed=True)
    assert isinstance(answer, Evaluation)
    want = {
        "the algebra, % of peak": f"{100 * algebra.compute_cycles / algebra.cycles_per_sample:.1f}",
        "executed, % of peak on the same basis": f"{100 * algebra.compute_cycles / schedule.cycles_per_sample:.1f}",
        "executed, useful multiply-adds only": f"{100 * schedule.utilization:.1f}",
        "GFLOPS/W executed, at the paper's prices": f"{answer.gflops_per_watt:.0f}",
        "KB of the longest program": f"{program_bytes(schedule.steady) / 1024:.1f}",
    }
    assert {row: cells(CP_PAGE, row)[place_of] for row in want} == want
