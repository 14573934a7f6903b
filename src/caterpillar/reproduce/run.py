"""The whole reproduction: every row, and rows.json."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryFile

from caterpillar.checks import OutputError
from caterpillar.reproduce.fig5 import fig5_rows, train_short
from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows
from caterpillar.reproduce.rows import Row
from caterpillar.reproduce.study import STUDY, run_study
from caterpillar.reproduce.study.rates import learning_rates_toml
from caterpillar.reproduce.study.results import Curve, curves, known_records, write_records
from caterpillar.reproduce.study.run import Progress
from caterpillar.train.run_directory import replace_file


def run_reproduction(
    out_dir: Path,
    *,
    quick: bool,
    workers: int = 2,
    dask: str | None = None,
    on_progress: Progress = lambda _text, _done, _total: None,
) -> list[Row]:
    """Compute every row and write them to out_dir/rows.json, which replaces an earlier one.

    quick: a short Fig. 5 (ten epochs, five rules, the smallest network). Else the whole convergence study, which takes
    hours: its runs lie in out_dir/study and are gone on with by the next call, its records go to
    out_dir/study.parquet, the learning rates it chose to out_dir/learning_rates.toml.
    workers, dask: where to train (study.run_trials). on_progress(text, done, total) is called as trainings finish.
    Raises OutputError if out_dir cannot be written.
    """
    path = out_dir / "rows.json"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out_dir).close()  # fails now rather than after the trainings
        rows = [*area_rows(), *table2_rows(), *fig10_rows(), *text_rows()]
        if quick:
            trained = train_short(workers=workers, on_progress=on_progress)
        else:
            trained = _train_all(out_dir, workers=workers, dask=dask, on_progress=on_progress)
        rows += fig5_rows(trained)
        text = json.dumps({"rows": [row.as_dict() for row in rows]}, indent=1, allow_nan=False) + "\n"
        replace_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise OutputError(f"--out {out_dir} cannot be written: {error.strerror or error}") from None
    return rows


def _train_all(out_dir: Path, *, workers: int, dask: str | None, on_progress: Progress) -> list[Curve]:
    folder = out_dir / "study"
    folder.mkdir(exist_ok=True)
    records = run_study(STUDY, folder, known=known_records(), workers=workers, dask=dask, on_progress=on_progress)
    write_records(records, out_dir / "study.parquet")
    (out_dir / "learning_rates.toml").write_text(learning_rates_toml(records), encoding="utf-8")
    return list(curves(records).values())
