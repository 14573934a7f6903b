"""caterpillar reproduce: rows as JSON, tables, files; a folder that cannot be written is refused at once."""

import json

import pytest

from tests.reproduce.few_cells import place_few

KEYS = {"artifact", "case", "rule", "quantity", "unit", "paper", "ours", "source", "verdict", "note"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    place_few(monkeypatch)


def test_json_rows_and_files(run, tmp_path):
    out = tmp_path / "deep" / "out"
    document = run("reproduce", "--quick", "--out", out, "--json").document
    assert all(set(row) >= KEYS for row in document["rows"])
    assert {"area", "table2", "fig10", "fig5", "ranking", "fig9"} <= {row["artifact"] for row in document["rows"]}
    assert {row["verdict"] for row in document["rows"]} <= {"reproduced", "differs", "paper-contradicts-itself"}
    assert json.loads((out / "rows.json").read_text()) == document
    assert {"rows.md", "questions.md", "table2.png", "fig5.png", "question-half.png"} <= {
        file.name for file in out.iterdir()
    }
    again = run("reproduce", "--out", out, "--json")
    assert (again.status, again.document) == (0, document)


def test_tables(run, tmp_path):
    ran = run("reproduce", "--out", tmp_path)
    assert ran.status == 0
    for word in (
        "Table 2",
        "Fig. 10",
        "Verdicts",
        "GFLOPS/W",
        "from the stored study, not trained now",
        f"written: {tmp_path}/rows.json",
    ):
        assert word in ran.out


def test_a_place_that_cannot_be_written_is_refused_before_the_trainings(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused("reproduce", "--out", tmp_path / "file").startswith(f"--out {tmp_path}/file cannot be written: ")
    assert refused("reproduce", "--out", "/proc/none").startswith("--out /proc/none cannot be written: ")
    assert (tmp_path / "file").read_text() == "mine"
