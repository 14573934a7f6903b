"""Verdicts, Fig. 5's reading, and rows.json."""

import json
from pathlib import Path

import pytest

from caterpillar.checks import OutputError
from caterpillar.reproduce import judge, run_reproduction
from caterpillar.reproduce import run as run_module
from caterpillar.reproduce.fig5 import rows_of
from caterpillar.reproduce.paper import Tolerance, epochs_to
from caterpillar.reproduce.study import Study
from caterpillar.reproduce.study.plan import SGD, Workload
from caterpillar.reproduce.study.results import Curve, Record, read_records
from tests.reproduce.few_cells import place_few
from tests.reproduce.records import made_up, rising

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


def curve(rule: str, *runs: tuple[float, ...]) -> Curve:
    return Curve(
        network="500-500-500-10", method=rule, arithmetic="fp32", learning_rate=0.01, epochs=10, accuracies=runs
    )


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


def test_a_curve_of_several_seeds_is_judged_by_its_median() -> None:
    rows = {row.quantity: row for row in rows_of(curve("sgd", (0.86, 0.91), (0.84, 0.86), (0.83, 0.85)))}
    assert rows["epochs_to_85"].ours == 2
    assert rows["epochs_to_90"].ours is None
    assert "median of 3 seeds" in rows["epochs_to_85"].note


def test_rows_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "known_records", lambda: made_up(rising))
    place_few(monkeypatch)
    found = run_reproduction(tmp_path / "out", quick=True)
    stored = json.loads((tmp_path / "out" / "rows.json").read_text())["rows"]
    assert [row.as_dict() for row in found.rows] == stored
    assert found.stored
    assert list(found.records) == made_up(rising)
    promised = {"artifact", "case", "rule", "quantity", "unit", "paper", "ours", "source", "verdict", "note"}
    assert all(promised | {"difference", "paper_mapping", "best_mapping"} == set(row) for row in stored)
    assert {row["artifact"] for row in stored} == {
        "area", "table2", "fig10", "text", "fig5", "ranking", "fig6", "fig7", "fig8", "fig9"
    }  # fmt: skip


def test_the_whole_study_is_stored_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Workload(network="500-500-500-10", methods=(SGD,), search_epochs=1, final_epochs=1, seeds=1)
    monkeypatch.setattr(run_module, "STUDY", Study(samples=20, workloads=(load,), rate_factors=(1.0,)))
    monkeypatch.setattr(run_module, "known_records", list)
    place_few(monkeypatch)
    found = run_reproduction(tmp_path, quick=False, workers=1)
    assert not found.stored
    assert {record["purpose"] for record in read_records(tmp_path / "study.parquet")} == {"search", "final"}
    assert {row.rule for row in found.rows if row.artifact == "fig5"} == {"sgd"}


def test_a_folder_that_cannot_be_written_fails_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "run_study", lambda *_, **__: pytest.fail("trained first"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"--out .*file cannot be written"):
        run_reproduction(tmp_path / "file", quick=False)


def test_an_earlier_result_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> list[Record]:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "run_study", interrupted)
    (tmp_path / "rows.json").write_text("earlier")
    with pytest.raises(KeyboardInterrupt):
        run_reproduction(tmp_path, quick=False)
    assert (tmp_path / "rows.json").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.json", "study"]
