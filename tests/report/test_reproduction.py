"""A reproduction's tables and pictures."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from caterpillar.checks import OutputError
from caterpillar.report import reproduction_tables, write_reproduction
from caterpillar.reproduce import Row
from caterpillar.reproduce.fig5 import fig5_rows, short_trials
from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows
from caterpillar.reproduce.study.results import Curve


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    curves = [
        Curve(
            network=trial.network,
            method=trial.method.label,
            arithmetic="fp32",
            learning_rate=0.01,
            epochs=10,
            accuracies=((0.9, 0.93, 0.96),),
        )
        for trial in short_trials()
    ]
    return [*area_rows(), *table2_rows(), *fig10_rows(), *text_rows(), *fig5_rows(curves)]


def test_a_page_and_a_picture_for_each_artifact(rows: list[Row], tmp_path: Path) -> None:
    written = write_reproduction(rows, tmp_path)
    assert [path.name for path in written] == ["rows.md", "area.png", "table2.png", "fig10.png", "fig5.png"]
    for path in written[1:]:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000
    page = written[0].read_text(encoding="utf-8")
    assert "| A | – | area_mm2 | mm2 | 103.20 | 103.19 | -0.01 | reproduced |" in page
    assert page.count("\n| N") >= 9 + 90


def test_terminal_tables_show_every_row(rows: list[Row]) -> None:
    tables = reproduction_tables(rows)
    assert [table.row_count for table in tables[:-1]] == [2, 9, 90, 16, 45]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(tables[-1])
    text = console.export_text()
    assert "Area" in text
    assert "paper-contradicts-itself" in text


def test_a_missing_folder_is_one_error(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--out .*none cannot be written: No such file"):
        write_reproduction(rows, tmp_path / "none")
