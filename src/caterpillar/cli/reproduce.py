"""caterpillar reproduce"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caterpillar.cli import options

Quick = Annotated[
    bool,
    typer.Option(
        "--quick/--full",
        help="A short Fig. 5, in minutes; or the whole convergence study, in hours and resumable.",
    ),
]
Workers = Annotated[int, typer.Option(help="Trainings at a time.", min=1)]
Dask = Annotated[str | None, typer.Option(help="Address of a dask scheduler to train on, with --full.")]


def reproduce(
    quick: Quick = True,
    out: options.OutFolder = Path("reproduction"),
    workers: Workers = 2,
    dask: Dask = None,
    json: options.Json = False,
) -> None:
    """The paper's tables and figures, ours beside them, with verdicts.

    Writes rows.json, rows.md and a picture of each to the folder.
    """
    from caterpillar.cli.output import print_json, print_rich
    from caterpillar.cli.progress import Bar
    from caterpillar.report import reproduction_tables, write_reproduction
    from caterpillar.reproduce import run_reproduction

    with Bar() as bar:
        rows = run_reproduction(out, quick=quick, workers=workers, dask=dask, on_progress=bar.update)
    written = write_reproduction(rows, out)
    if json:
        print_json({"rows": [row.as_dict() for row in rows]})
        return
    for table in reproduction_tables(rows):
        print_rich(table)
    typer.echo(f"written: {', '.join(str(path) for path in [out / 'rows.json', *written])}")
