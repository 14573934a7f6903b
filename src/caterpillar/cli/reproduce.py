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
        help="Figs. 5 to 9 from the stored study; or run what it lacks, in hours and resumable.",
    ),
]
Workers = Annotated[int, typer.Option(help="Cells placed, or trainings, at a time.", min=1)]
Dask = Annotated[str | None, typer.Option(help="A dask scheduler to train on, or local. With --full.")]


def reproduce(
    quick: Quick = True,
    out: options.OutFolder = Path("reproduction"),
    workers: Workers = 2,
    dask: Dask = None,
    json: options.Json = False,
) -> None:
    """The paper's tables and figures, ours beside them, with verdicts.

    Writes rows.json, rows.md, questions.md and a picture of each to the folder.
    """
    from caterpillar.cli.output import print_json, print_rich
    from caterpillar.cli.progress import Bar
    from caterpillar.report import reproduction_tables, write_reproduction
    from caterpillar.reproduce import run_reproduction

    with Bar() as bar:
        found = run_reproduction(out, quick=quick, workers=workers, dask=dask, on_progress=bar.update)
    written = write_reproduction(found, out)
    if json:
        print_json({"rows": [row.as_dict() for row in found.rows]})
        return
    for table in reproduction_tables(found):
        print_rich(table)
    if found.stored:
        typer.echo(
            "Figs. 5 to 9 and the questions: from the stored study, not trained now (--full trains what it lacks)"
        )
    typer.echo(f"written: {', '.join(str(path) for path in [out / 'rows.json', *written])}")
