"""The convergence study: same budget for every method, the right choice, resumption, medians over seeds."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from caterpillar.explore import Sweep, explore, read_results
from caterpillar.network import PAPER_NETWORKS
from caterpillar.reproduce import study_epochs
from caterpillar.reproduce.study import METHODS, STUDY, Method, Study
from caterpillar.reproduce.study.plan import HALF, SGD, Repeat, Workload
from caterpillar.reproduce.study.rates import learning_rates_toml
from caterpillar.reproduce.study.results import Curve, curves, known_records, read_records, write_records
from caterpillar.reproduce.study.run import IDENTITY, choose_rates, identity, run_study, run_trial

TINY = Study(
    samples=40,
    workloads=(
        Workload(
            network="6-10",
            methods=(SGD, Method(rule="mbcp", batch=4)),
            search_epochs=1,
            final_epochs=2,
            seeds=2,
            repeats=(Repeat(arithmetic=HALF, methods=(SGD,)),),
        ),
    ),
    rate_factors=(0.5, 2.0),
)


def test_the_paper_s_fifteen_methods_on_its_four_networks():
    assert len(METHODS) == 15
    assert len({method.label for method in METHODS}) == 15
    assert [load.network for load in STUDY.workloads] == list(PAPER_NETWORKS)
    assert [load.seeds for load in STUDY.workloads] == [3, 3, 3, 1]
    assert all(set(METHODS) <= set(load.methods) for load in STUDY.workloads)


def test_every_method_has_the_same_search_budget():
    for load in STUDY.workloads:
        budgets = {
            method.label: sum(
                trial.epochs
                for trial in STUDY.search_trials()
                if (trial.network, trial.method) == (load.network, method)
            )
            for method in (*load.methods, *load.extra)
        }
        assert set(budgets.values()) == {len(STUDY.rate_factors) * load.search_epochs}


def test_trials_have_folders_of_their_own():
    chosen = {(load.network, method.label): 0.01 for load in STUDY.workloads for method in (*load.methods, *load.extra)}
    trials = [*STUDY.search_trials(), *STUDY.final_trials(chosen)]
    assert len({trial.key for trial in trials}) == len(trials)


def _search(rate: float, *accuracies: float) -> list[dict[str, object]]:
    common = {"purpose": "search", "network": "n", "method": "sgd", "learning_rate": rate}
    return [{**common, "epoch": epoch, "accuracy": accuracy} for epoch, accuracy in enumerate(accuracies, start=1)]


def test_the_rate_that_does_best_in_the_later_half_is_chosen():
    records = _search(0.1, 0.9, 0.5, 0.5) + _search(0.2, 0.4, 0.6, 0.7) + _search(0.3, 0.9, 0.99, 0.0)
    assert choose_rates(records) == {("n", "sgd"): 0.2}


def test_of_equals_the_lower_rate_is_chosen():
    assert choose_rates(_search(0.2, 0.6) + _search(0.1, 0.6)) == {("n", "sgd"): 0.1}


def test_median_epochs_to_accuracy_over_seeds():
    curve = Curve(
        network="n",
        method="sgd",
        arithmetic="fp32",
        learning_rate=0.1,
        epochs=2,
        accuracies=((0.8, 0.9), (0.9, 0.9), (0.7, 0.8)),
    )
    assert curve.epochs_to_spread(0.9) == [2, 1, None]
    assert curve.epochs_to(0.9) == 2
    assert curve.epochs_to(0.8) == 1
    assert curve.epochs_to(0.95) is None
    assert curve.best() == (0.9, 0.8, 0.9)


def test_a_study_runs_and_a_second_call_trains_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = run_study(TINY, tmp_path)
    monkeypatch.setattr("caterpillar.train.train", lambda *_, **__: pytest.fail("trained again"))
    assert run_study(TINY, tmp_path) == first
    finals = {r["arithmetic"] for r in first if r["purpose"] == "final"}
    assert finals == {"fp32", "fp16"}
    assert {key: curve.seeds for key, curve in curves(first).items()} == {("6-10", "sgd"): 2, ("6-10", "mbcp4"): 2}


def test_a_dask_cluster_writes_to_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("distributed", reason="pip install 'caterpillar-cgra[study]' for dask")
    monkeypatch.chdir(tmp_path)
    first = run_study(TINY, Path("by-dask"), dask="local")
    monkeypatch.setattr("caterpillar.train.train", lambda *_, **__: pytest.fail("trained again"))
    assert run_study(TINY, tmp_path / "by-dask") == first


def test_trials_that_are_known_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = run_study(TINY, tmp_path / "a")
    monkeypatch.setattr("caterpillar.train.train", lambda *_, **__: pytest.fail("trained again"))
    assert run_study(TINY, tmp_path / "b", known=first) == first


def test_a_killed_trial_goes_on_at_its_last_epoch_with_the_same_results(tmp_path: Path):
    trial = TINY.final_trials({("6-10", "sgd"): 0.05, ("6-10", "mbcp4"): 0.05})[0]
    whole = run_trial(trial, tmp_path / "whole", TINY.samples)
    run_trial(trial, tmp_path / "cut", TINY.samples)
    metrics = tmp_path / "cut" / trial.key / "metrics.jsonl"
    metrics.write_text(metrics.read_text().splitlines()[0] + '\n{"epoch": 2, "tor')
    (tmp_path / "cut" / trial.key / "checkpoint.npz").unlink()
    assert run_trial(trial, tmp_path / "cut", TINY.samples) == whole


def test_a_diverged_trial_is_a_result(tmp_path: Path):
    trial = replace(
        TINY.final_trials({("6-10", "sgd"): 1000.0, ("6-10", "mbcp4"): 0.05})[0], network="10", arithmetic=HALF
    )
    records = run_trial(trial, tmp_path, TINY.samples)
    assert records[-1]["accuracy"] == 0.0
    assert run_trial(trial, tmp_path, TINY.samples)[-1]["epoch"] == records[-1]["epoch"]


def test_records_survive_parquet(tmp_path: Path):
    records = run_study(TINY, tmp_path / "runs")
    write_records(records, tmp_path / "results.parquet")
    stored = read_records(tmp_path / "results.parquet")
    assert len(stored) == len(records)
    assert curves(stored) == curves(records)


def test_a_sweep_takes_the_stored_epochs(tmp_path: Path) -> None:
    epochs = study_epochs(95)
    network, rule = "500-500-500-10", "sgd"
    stored = curves(known_records())[network, rule].epochs_to(0.95)
    assert (epochs.percent, epochs.samples, epochs.of[rule, PAPER_NETWORKS[network]]) == (95, STUDY.samples, stored)
    assert stored
    sweep = Sweep(network=network, rule=rule, accuracy_percent=95, objectives={"energy_j_to_accuracy": "min"})
    explore(sweep, tmp_path, epochs=epochs)
    (row,) = read_results(tmp_path).to_pylist()
    assert row["feasible"]
    assert row["energy_j_to_accuracy"] == row["energy_j_per_sample"] * STUDY.samples * stored


def test_every_epoch_of_every_trial_of_the_plan_is_on_record():
    stored: dict[tuple[object, ...], list[int]] = {}
    diverged: set[tuple[object, ...]] = set()
    for record in known_records():
        key = tuple(record[name] for name in IDENTITY)
        stored.setdefault(key, []).append(record["epoch"])
        if not record["accuracy"]:
            diverged.add(key)
    for trial in [*STUDY.search_trials(), *STUDY.final_trials(choose_rates(known_records()))]:
        key = tuple(identity(trial)[name] for name in IDENTITY)
        epochs = sorted(stored.get(key, []))
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(epochs) == trial.epochs or (epochs and key in diverged), trial.key


@pytest.mark.parametrize("method", ["cp", "mbgd50"])
def test_the_trainer_gives_what_is_on_record(tmp_path: Path, method: str):
    """The first epoch of a final run again: the same loss and accuracy, to the last bit."""
    chosen = choose_rates(known_records())
    trial = next(t for t in STUDY.final_trials(chosen) if t.method.label == method)
    (again,) = run_trial(replace(trial, epochs=1), tmp_path, STUDY.samples)
    (stored,) = [
        record
        for record in known_records()
        if (record["purpose"], record["network"], record["method"]) == ("final", trial.network, method)
        and (record["arithmetic"], record["seed"], record["epoch"]) == ("fp32", 0, 1)
    ]
    assert (again["train_loss"], again["accuracy"]) == (stored["train_loss"], stored["accuracy"])


def test_the_default_learning_rates_are_those_of_the_stored_search():
    shipped = files("caterpillar.train").joinpath("learning_rates.toml").read_text(encoding="utf-8")
    assert shipped == learning_rates_toml(known_records())
    assert tomllib.loads(shipped)["rates"]
