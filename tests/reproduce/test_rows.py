"""Verdicts, Fig. 5's reading, and rows.json."""

import json
from pathlib import Path

import pytest

from caterpillar.checks import OutputError
from caterpillar.reproduce import Row, Training, judge, run_reproduction
from caterpillar.reproduce import run as run_module
from caterpillar.reproduce.fig5 import QUICK, Curve, full, rows_of
from caterpillar.reproduce.paper import Tolerance, epochs_to, rule_of_label

ONE_PERCENT = Tolerance(relative=0.01)


def test_verdicts() -> None:
    assert judge(100, 101, ONE_PERCENT) == "reproduced"
    assert judge(100, 101.1, ONE_PERCENT) == "differs"
    assert judge(100, None, ONE_PERCENT) == "differs"
    assert judge(100, 150, ONE_PERCENT, elsewhere=149) == "paper-contradicts-itself"
    assert judge(100, 150, ONE_PERCENT, elsewhere=120) == "differs"
    assert judge(100, 100.5, ONE_PERCENT, elsewhere=150) == "reproduced"


def test_a_tolerance_takes_the_wider_of_absolute_and_relative() -> None:
    both = Tolerance(absolute=1.0, relative=0.5)
    assert both.met(1, 2)
    assert both.met(10, 15)
    assert not both.met(10, 15.1)


def test_blanks_of_fig5_are_the_next_listed_epoch_or_never() -> None:
    small = "500-500-500-10"
    assert [epochs_to(small, "sgd", percent) for percent in (80, 85, 92, 93)] == [1, 1, 29, None]
    assert epochs_to("2500-2000-1500-1000-500-10", "mbgd8", 90) == 2
    assert epochs_to("500-500-500-500-10", "cp", 93) == 11
    with pytest.raises(KeyError):
        epochs_to("500-500-500-500-10", "cp", 80)


def curve(rule: str, accuracies: tuple[float, ...]) -> Curve:
    training = Training(network="500-500-500-10", rule=rule, epochs=10)
    return Curve(training=training, learning_rate=0.01, accuracies=accuracies)


def test_rows_of_a_curve() -> None:
    rows = {row.quantity: row for row in rows_of(curve("sgd", (0.85, 0.89, 0.90, 0.915, *[0.92] * 6)))}
    assert list(rows) == [f"epochs_to_{percent}" for percent in (80, 85, 88, 90, 91, 92, 93, 94, 95)]
    assert [rows[f"epochs_to_{percent}"].ours for percent in (85, 90, 92, 93)] == [1, 3, 5, None]
    assert rows["epochs_to_85"].verdict == "reproduced"
    assert rows["epochs_to_90"].verdict == "reproduced"  # 5 and 3: within half of 5
    assert rows["epochs_to_92"].verdict == "differs"  # the paper's 29 lies beyond the ten run
    assert "only ours" in rows["epochs_to_92"].note
    assert rows["epochs_to_93"].verdict == "reproduced"
    assert "neither reaches it in the 10 epochs run" in rows["epochs_to_93"].note


def test_a_curve_that_diverged_reaches_nothing() -> None:
    rows = rows_of(curve("cp", (0.0,)))
    assert all(row.ours is None for row in rows)
    assert rows[0].verdict == "differs"


def test_the_plans() -> None:
    assert {training.rule for training in QUICK} == {"sgd", "cp", "mbgd8", "mbgd50", "dfa8"}
    by_network = [training.network for training in full()]
    assert by_network.count("500-500-500-10") == by_network.count("2500-2000-1500-1000-500-10") == 15
    assert all(rule_of_label(training.rule).label == training.rule for training in full())


def test_rows_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = rows_of(curve("sgd", (0.9,)))
    monkeypatch.setattr(run_module, "fig5_rows", lambda *_, **__: trained)
    rows = run_reproduction(tmp_path / "out", quick=True)
    stored = json.loads((tmp_path / "out" / "rows.json").read_text())["rows"]
    assert [row.as_dict() for row in rows] == stored
    promised = {"artifact", "case", "rule", "quantity", "unit", "paper", "ours", "source", "verdict", "note"}
    assert all(promised | {"difference"} == set(row) for row in stored)
    assert {row["artifact"] for row in stored} == {"area", "table2", "fig10", "text", "fig5"}


def test_a_folder_that_cannot_be_written_fails_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> list[Row]:
        raise AssertionError("trained first")

    monkeypatch.setattr(run_module, "fig5_rows", never)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"--out .*file cannot be written"):
        run_reproduction(tmp_path / "file", quick=True)
