"""A reproduction's tables and pictures."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from caterpillar.checks import OutputError
from caterpillar.report import reproduction_tables, write_reproduction
from caterpillar.reproduce import Reproduction, run_reproduction
from caterpillar.reproduce import run as run_module
from tests.reproduce.few_cells import place_few
from tests.reproduce.records import made_up, rising

PICTURES = {
    "area", "table2", "fig10", "fig5", "fig6", "fig7", "fig8", "fig9",
    "question-half", "question-stochastic", "question-batches", "question-pipelining", "question-remedies",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "known_records", lambda: made_up(rising))
        place_few(patch)
        return run_reproduction(tmp_path_factory.mktemp("out"), quick=True)


def test_pages_and_a_picture_for_each_artifact(found: Reproduction, tmp_path: Path) -> None:
    written = write_reproduction(found, tmp_path)
    assert {path.stem for path in written if path.suffix == ".png"} == PICTURES
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 10_000
    page = (tmp_path / "rows.md").read_text(encoding="utf-8")
    assert "| A | – | area_mm2 | mm2 | 103.20 | 103.19 | -0.01 | reproduced |" in page
    assert page.count("\n| N") >= 9 + 90
    answers = (tmp_path / "questions.md").read_text(encoding="utf-8")
    assert answers.count("\n## ") == 5
    assert answers.count("![") == 5


def test_fig5_shows_the_paper_s_epochs_and_the_median_with_its_spread(found: Reproduction, tmp_path: Path) -> None:
    write_reproduction(found, tmp_path)
    page = (tmp_path / "rows.md").read_text(encoding="utf-8")
    # seeds rise by a point an epoch from 87.875, 87.975 and 88.075 %; the paper's SGD needs 29 epochs to 92 %
    sgd = next(line for line in page.splitlines() if line.startswith("| sgd | 0.01 |"))
    assert "| 29 / 6 (5–6) |" in sgd
    assert sgd.endswith("| 97.0 |")


def test_terminal_tables_show_every_row_and_every_answer(found: Reproduction) -> None:
    tables = reproduction_tables(found)
    counts = {str(table.title): table.row_count for table in tables}
    assert [counts[title] for title in ("Area", "Table 2: GFLOPS/W", "Fig. 10: speed")] == [2, 9, 90]
    assert [count for title, count in counts.items() if title.startswith("Fig. 5: epochs")] == [15] * 4
    assert [count for title, count in counts.items() if title.startswith("Figs. 6-9")] == [15] * 3
    assert "Is CP at least as good as SGD?" in counts
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(tables[-1])
    text = console.export_text()
    assert "Area" in text
    assert "paper-contradicts-itself" in text


def test_a_missing_folder_is_one_error(found: Reproduction, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--out .*none cannot be written: No such file"):
        write_reproduction(found, tmp_path / "none")
