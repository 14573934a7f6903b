"""The whole reproduction: every row, and rows.json."""

from __future__ import annotations

import json
from pathlib import Path

from caterpillar.checks import OutputError
from caterpillar.reproduce.fig5 import QUICK, Progress, fig5_rows, full
from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows
from caterpillar.reproduce.rows import Row


def run_reproduction(
    out_dir: Path, *, quick: bool, on_progress: Progress = lambda _text, _done, _total: None
) -> list[Row]:
    """Compute every row and write them to out_dir/rows.json, which replaces an earlier one.

    quick: a short Fig. 5 (ten epochs, five rules, the smallest network); else all of it, which takes hours.
    on_progress(text, done, total) is called as trainings finish. Raises OutputError if out_dir cannot be written.
    """
    rows = [*area_rows(), *table2_rows(), *fig10_rows(), *text_rows()]
    _write(rows, out_dir)  # fails now rather than after the trainings
    rows += fig5_rows(QUICK if quick else full(), on_progress=on_progress)
    _write(rows, out_dir)
    return rows


def _write(rows: list[Row], out_dir: Path) -> None:
    document = {"rows": [row.as_dict() for row in rows]}
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / "rows.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--out {out_dir} cannot be written: {error.strerror or error}") from None
