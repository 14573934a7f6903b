"""caterpillar reproduce: rows as JSON, tables, files; a folder that cannot be written is refused at once."""

import json

import pytest

from caterpillar.reproduce import run as reproduce_run

KEYS = {"artifact", "case", "rule", "quantity", "unit", "paper", "ours", "source", "verdict", "note"}


@pytest.fixture
def no_training(monkeypatch):
    """All but the trainings of Fig. 5, which take minutes."""
    monkeypatch.setattr(reproduce_run, "train_short", lambda **_: [])


@pytest.mark.usefixtures("no_training")
def test_json_rows_and_files(run, tmp_path):
    out = tmp_path / "deep" / "out"
    document = run("reproduce", "--quick", "--out", out, "--json").document
    assert all(set(row) >= KEYS for row in document["rows"])
    assert {"area", "table2", "fig10"} <= {row["artifact"] for row in document["rows"]}
    assert {row["verdict"] for row in document["rows"]} <= {"reproduced", "differs", "paper-contradicts-itself"}
    assert json.loads((out / "rows.json").read_text()) == document
    assert {"rows.md", "table2.png", "fig10.png"} <= {file.name for file in out.iterdir()}
    again = run("reproduce", "--out", out, "--json")
    assert (again.status, again.document) == (0, document)


@pytest.mark.usefixtures("no_training")
def test_tables(run, tmp_path):
    ran = run("reproduce", "--out", tmp_path)
    assert ran.status == 0
    for word in ("Table 2", "Fig. 10", "Verdicts", "GFLOPS/W", f"written: {tmp_path}/rows.json"):
        assert word in ran.out


def test_a_place_that_cannot_be_written_is_refused_before_the_trainings(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused("reproduce", "--out", tmp_path / "file").startswith(f"--out {tmp_path}/file cannot be written: ")
    assert refused("reproduce", "--out", "/proc/none").startswith("--out /proc/none cannot be written: ")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_the_whole_quick_reproduction(run_process, tmp_path):
    ran = run_process("reproduce", "--quick", "--out", tmp_path, "--json")
    assert (ran.status, ran.err) == (0, "")
    fig5 = [row for row in ran.document["rows"] if row["artifact"] == "fig5"]
    assert {row["rule"] for row in fig5} == {"sgd", "cp", "mbgd8", "mbgd50", "dfa8"}
    assert (tmp_path / "fig5.png").stat().st_size > 10_000
