"""A row is what evaluate says of its point; an infeasible one says why."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import Infeasible
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.explore import MACHINE_FIELDS, Epochs, Sweep, explore, paper_points, plan_sweep, read_results
from caterpillar.explore.points import chunks, evaluate_points
from caterpillar.explore.reach import reach
from caterpillar.machine import Machine
from caterpillar.network import parse_network
from caterpillar.rules import parse_rule

MakeSweep = Callable[..., Sweep]
PRICES = ("paper", "cacti")


def rows_of(plan: Any) -> list[dict[str, Any]]:
    import numpy as np

    numbers = np.arange(plan.machines)
    points = [numbers + work * plan.machines for work in range(len(plan.works))]
    return evaluate_points(plan, list(plan.works), plan.machine_columns(numbers), points).to_pylist()


def evaluated(plan: Any, row: dict[str, Any]) -> Evaluation | Infeasible:
    machine = Machine(name="any", **{name: row[name] for name in MACHINE_FIELDS})
    rule = parse_rule(row["rule"], batch=row["batch"])
    pricing = next(work.prices for work in plan.works if work.prices.name == row["prices"])
    return evaluate(parse_network(row["network"]), rule, machine, prices=pricing)


@settings(max_examples=25)
@given(
    network=st.lists(
        st.sampled_from(["10", "30-10", "300-200-10", "2000-2000-10"]), min_size=1, max_size=3, unique=True
    ),
    rule=st.lists(st.sampled_from(["sgd", "mbgd", "fa", "dfa", "cp", "mbcp"]), min_size=1, max_size=3, unique=True),
    batch=st.lists(st.sampled_from([1, 8, 50]), min_size=1, max_size=2, unique=True),
    cores=st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True),
    side=st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
    sram=st.lists(st.sampled_from([256, 2048, 16384]), min_size=1, max_size=2, unique=True),
)
def test_a_row_is_what_evaluate_says(network: Any, rule: Any, batch: Any, cores: Any, side: Any, sram: Any) -> None:
    plan = plan_sweep(
        Sweep(
            network=network,
            rule=rule,
            batch=batch,
            prices=PRICES,
            machine={"cores_per_row": cores, "pe_rows": side, "pe_cols": "pe_rows", "pe_sram_bytes": sram},
            objectives={"gflops": "max"},
        )
    )
    rows = rows_of(plan)
    assert [row["point"] for row in rows] == list(range(plan.points))
    for row in rows[:: max(1, len(rows) // 20)]:
        one = evaluated(plan, row)
        if isinstance(one, Infeasible):
            assert (row["feasible"], row["gflops"]) == (False, None)
            assert (row["needs_bytes"], row["has_bytes"]) == (one.needs_bytes, one.has_bytes)
            assert one.hint in row["reason"]
            continue
        assert (row["feasible"], row["reason"], row["needs_bytes"]) == (True, None, None)
        for name in ("cycles_per_sample", "utilization", "seconds_per_sample", "power_w", "gflops", "gflops_per_watt"):
            assert row[name] == getattr(one, name)
        assert (row["area_mm2"], row["off_core_words"]) == (one.area_mm2, one.off_core_words)
        assert row["energy_j_per_sample"] == one.energy_pj_per_sample * 1e-12
        assert row["energy_j_per_tick"] == row["energy_j_per_sample"] * row["batch"]
        assert row["seconds_per_epoch"] == row["seconds_per_sample"] * 6000
        assert row["energy_low_j_per_sample"] == one.energy_range_pj[0] * 1e-12


@settings(max_examples=25)
@given(
    network=st.lists(st.sampled_from(["10", "30-10", "500-500-10"]), min_size=1, max_size=2, unique=True),
    rule=st.lists(st.sampled_from(["sgd", "mbgd", "cp", "mbcp", "dfa"]), min_size=1, max_size=3, unique=True),
    words=st.lists(st.sampled_from([16, 64, 128]), min_size=1, max_size=2, unique=True),
    sram=st.lists(st.sampled_from([2048, 16384]), min_size=1, max_size=2, unique=True),
    clock=st.lists(st.sampled_from([2e8, 1e9]), min_size=1, max_size=2, unique=True),
    leakage=st.sampled_from(["0.0", "0.7"]),
)
def test_no_point_is_out_of_reach(
    network: Any, rule: Any, words: Any, sram: Any, clock: Any, leakage: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    labels = ("sgd", "cp", "mbgd8", "mbcp8", "dfa8")
    table = files("caterpillar.cost").joinpath("tables", "paper.toml").read_text().replace('"paper"', '"mine"', 1)
    path = tmp_path_factory.mktemp("prices") / "mine.toml"
    path.write_text(table.replace("pe_cycles = { value = 0.0", f"pe_cycles = {{ value = {leakage}"))
    plan = plan_sweep(
        Sweep(
            network=network,
            rule=rule,
            batch=8,
            prices=str(path),
            machine={"cores_per_row": [2, 8], "pe_sram_word_bits": words, "pe_sram_bytes": sram, "clock_hz": clock},
            objectives={"energy_j_to_accuracy": "min"},
            accuracy_percent=90,
        ),
        Epochs(percent=90, samples=6000, of={(label, parse_network(network[0])): 2.5 for label in labels}),
    )
    within = reach(plan)
    assert (within["power_w"][0] > 0) == (leakage != "0.0")
    for row in rows_of(plan):
        for name, (low, high) in within.items():
            if row[name] is not None:
                assert low * (1 - 1e-9) <= row[name] <= high * (1 + 1e-9), name


def test_constraints_are_reasons_and_figures_stay(sweep: MakeSweep) -> None:
    words = {"area_mm2": {"min": 20, "max": 60}, "fits": True}
    rows = rows_of(
        plan_sweep(sweep(constraints=words, machine={"cores_per_row": [1, 2, 4, 8, 16]}, network="500-500-10"))
    )
    for row in rows:
        area, reason = row["area_mm2"], row["reason"]
        if row["off_core_words"]:
            assert reason == "constraint fits: words lie off-core"
        elif area < 20:
            assert reason == "constraint area_mm2: below 20"
        elif area > 60:
            assert reason == "constraint area_mm2: above 60"
        else:
            assert row["feasible"]
    assert {row["feasible"] for row in rows} == {True, False}
    assert all(row["gflops"] for row in rows)


def test_what_no_circuit_can_do_is_a_reason(sweep: MakeSweep) -> None:
    plan = plan_sweep(sweep(machine={"clock_hz": [5e8, 3e9], "node_nm": [45, 22]}, prices=["cacti", "paper"]))
    for row in rows_of(plan):
        if row["prices"] == "paper" and row["node_nm"] == 22:
            assert "is a table of 45 nm" in row["reason"]
        elif row["prices"] == "cacti" and row["clock_hz"] == 3e9 and row["node_nm"] == 45:
            assert "lower clock_hz" in row["reason"]
        else:
            assert row["feasible"] or "too small" in row["reason"] or "area_mm2" in row["reason"]


def test_to_accuracy_takes_the_studys_epochs(sweep: MakeSweep, tmp_path: Path) -> None:
    words = sweep(
        network=["100-10", "50-10"],
        rule=["sgd", "dfa"],
        batch=8,
        accuracy_percent=95,
        objectives={"energy_j_to_accuracy": "min", "seconds_to_accuracy": "min"},
        constraints={"epochs_to_accuracy": {"max": 8}},
    )
    large, small = parse_network("100-10"), parse_network("50-10")
    known = {("sgd", large): 2.5, ("dfa8", large): None, ("sgd", small): 9.0}
    explore(words, tmp_path, epochs=Epochs(percent=95, samples=6000, of=known))
    for row in read_results(tmp_path).to_pylist():
        if row["network"] == "50-10" and row["rule"] == "sgd":
            assert (row["reason"], row["epochs_to_accuracy"]) == ("constraint epochs_to_accuracy: above 8", 9.0)
        elif row["rule"] == "dfa":
            assert row["reason"] == "the convergence study has no run of dfa8 on it that reaches 95 %"
        else:
            assert row["energy_j_to_accuracy"] == row["energy_j_per_sample"] * 6000 * 2.5


def test_epochs_are_of_the_network_that_was_trained(sweep: MakeSweep, tmp_path: Path) -> None:
    (tmp_path / "tanh.toml").write_text('sizes = [784, 100, 10]\nactivation = "tanh"\n')
    (tmp_path / "few.toml").write_text("sizes = [16, 100, 10]\n")
    networks = ["100-10", str(tmp_path / "tanh.toml"), str(tmp_path / "few.toml")]
    words = sweep(network=networks, rule="sgd", accuracy_percent=95, objectives={"seconds_to_accuracy": "min"})
    known = Epochs(percent=95, samples=6000, of={("sgd", parse_network("100-10")): 2.5})
    for row in rows_of(plan_sweep(words, known)):
        assert row["epochs_to_accuracy"] == (2.5 if row["network"] == "100-10" else None)
        if row["network"] != "100-10":
            assert row["reason"] == "the convergence study has no run of sgd on it that reaches 95 %"


def test_chunks_cover_every_point_once(sweep: MakeSweep) -> None:
    for size in (1, 7, 48, 100, 384, 1000):
        plan = plan_sweep(sweep(), chunk_points=size)
        points = [w * plan.machines + m for machines, works in chunks(plan) for w in works for m in machines]
        assert sorted(points) == list(range(plan.points))
        assert all(len(machines) * len(works) <= size for machines, works in chunks(plan))


def test_the_papers_machines_under_the_sweeps_work(sweep: MakeSweep) -> None:
    rows = paper_points(plan_sweep(sweep(network="500-500-500-10", rule="sgd", constraints={}))).to_pylist()
    assert [row["area_mm2"] for row in rows] == [pytest.approx(103.2, abs=0.2), pytest.approx(178.9, abs=0.2)]
    assert rows[0]["gflops_per_watt"] == pytest.approx(177, rel=0.015)


def test_mapping_best_takes_machines_one_by_one(sweep: MakeSweep) -> None:
    words = sweep(
        network="100-60-10",
        rule=["sgd", "mbcp"],
        batch=7,
        mapping=["paper", "best"],
        machine={
            "cores_per_row": [2, 16],
            "pe_rows": [3, 4],
            "pe_cols": "pe_rows",
            "pe_sram_bytes": [128, 16384],
            "core_sram_bytes": 2048,
        },
    )
    plan = plan_sweep(words)
    assert {(len(machines), len(works)) for machines, works in chunks(plan)} == {(1, 1)}
    met: set[str] = set()
    for row in rows_of(plan):
        if row["mapping"] == "paper" or row["reason"]:
            met.add(f"{row['mapping']} {row['rule']} {row['reason']}")
            continue
        machine = Machine(name="any", **{name: row[name] for name in MACHINE_FIELDS})
        one = evaluate(parse_network(row["network"]), parse_rule(row["rule"]), machine, mapping="best")
        assert isinstance(one, Evaluation)
        assert (row["rule"], row["cycles_per_sample"]) == ("sgd", one.cycles_per_sample)
        met.add("placed")
    assert "placed" in met
    assert any("best mbcp" in text and "--batch" in text for text in met)
    assert any("best sgd" in text and "power of two" in text for text in met)
    assert any("best sgd" in text and "too small" in text for text in met)
