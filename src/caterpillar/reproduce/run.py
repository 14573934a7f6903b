"""The whole reproduction: every row, and rows.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from caterpillar.checks import OutputError
from caterpillar.reproduce.executed import execute_all
from caterpillar.reproduce.fig5 import fig5_curves, fig5_rows
from caterpillar.reproduce.machine_rows import area_rows, fig10_rows, table2_rows, text_rows
from caterpillar.reproduce.ranking import ranking_rows
from caterpillar.reproduce.rows import Row
from caterpillar.reproduce.study import STUDY, run_study
from caterpillar.reproduce.study.rates import learning_rates_toml
from caterpillar.reproduce.study.results import Record, curves, known_records, write_records
from caterpillar.reproduce.study.run import Progress
from caterpillar.reproduce.to_accuracy import to_accuracy_rows
from caterpillar.train.run_directory import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """Every row, and the study's records behind those of Figs. 5 to 9; stored: they came with the package."""

    rows: tuple[Row, ...]
    records: tuple[Record, ...]
    stored: bool


def run_reproduction(
    out_dir: Path,
    *,
    quick: bool,
    workers: int = 2,
    dask: str | None = None,
    on_progress: Progress = lambda _text, _done, _total: None,
) -> Reproduction:
    """Compute every row and write them to out_dir/rows.json, which replaces an earlier one.

    quick: Figs. 5 to 9 from the convergence study's stored records. Else the study is run, which takes hours, but for
    the trials on record: its runs lie in out_dir/study and are gone on with by the next call, its records go to
    out_dir/study.parquet, the learning rates it chose to out_dir/learning_rates.toml.
    workers: processes that place the cells of Table 2 and Fig. 10, and train. dask: where to train (study.run_trials).
    on_progress(text, done, total) is called as cells and trainings are done.
    Raises OutputError if out_dir cannot be written.
    """
    path = out_dir / "rows.json"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out_dir).close()  # fails now rather than after the trainings
        records = known_records() if quick else _run_all(out_dir, workers, dask, on_progress)
        executed = execute_all(workers, on_progress)
        rows = [*area_rows(), *table2_rows(executed), *fig10_rows(executed), *text_rows(), *study_rows(records)]
        text = json.dumps({"rows": [row.as_dict() for row in rows]}, indent=1, allow_nan=False) + "\n"
        replace_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise OutputError(f"--out {out_dir} cannot be written: {error.strerror or error}") from None
    return Reproduction(rows=tuple(rows), records=tuple(records), stored=quick)


def study_rows(records: list[Record]) -> list[Row]:
    """What follows from the study's records: Fig. 5, the order of the methods, Figs. 6 to 9."""
    trained = fig5_curves(curves(records).values())
    return [*fig5_rows(trained), *ranking_rows(trained), *to_accuracy_rows(trained)]


def _run_all(out_dir: Path, workers: int, dask: str | None, on_progress: Progress) -> list[Record]:
    folder = out_dir / "study"
    folder.mkdir(exist_ok=True)
    records = run_study(STUDY, folder, known=known_records(), workers=workers, dask=dask, on_progress=on_progress)
    write_records(records, out_dir / "study.parquet")
    (out_dir / "learning_rates.toml").write_text(learning_rates_toml(records), encoding="utf-8")
    return records
