"""caterpillar explore"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caterpillar.cli import options

if TYPE_CHECKING:
    from caterpillar.explore import Confirmation, Epochs, Exploration, Plan, Sweep

SweepFile = Annotated[Path | None, typer.Argument(help="The sweep's TOML file.", show_default=False)]
Workers = Annotated[int, typer.Option(help="Processes to work in.", metavar="N", parser=options.whole)]
Dask = Annotated[
    str | None,
    typer.Option(
        help="The address of a dask scheduler, or local: its workers in place of processes.", metavar="ADDRESS"
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        help="Which points of the results in --out to show, such as: area_mm2 < 100 and rule == 'cp'.",
        metavar="EXPRESSION",
    ),
]
Limit = Annotated[
    int,
    typer.Option(help="Points to show, the best in the first objective first.", metavar="N", parser=options.whole),
]
Confirm = Annotated[
    bool, typer.Option("--confirm", help="Execute the front's points cycle by cycle; writes --out/confirmed.parquet.")
]
Pictures = Annotated[bool, typer.Option("--pictures", help="Draw the results into --out.")]


def explore(
    sweep: SweepFile = None,
    out: options.OutFolder = Path("sweep"),
    workers: Workers = 1,
    dask: Dask = None,
    query: Query = None,
    limit: Limit = 20,
    confirm: Confirm = False,
    pictures: Pictures = False,
    json: options.Json = False,
) -> None:
    """Evaluate every combination of networks, rules and machines that a file asks for, or search among them.

    Writes --out/results.parquet: every point, infeasible ones with their reason, the Pareto front marked. A sweep that
    was killed goes on when it is run again. With --query and no file, shows points of results that are there.
    """
    from caterpillar.checks import UsageError
    from caterpillar.explore import plan_sweep, read_sweep

    if limit < 1:
        raise UsageError(f"--limit must be an int of at least 1, got {limit}")
    if sweep is None:
        if query is None:
            raise UsageError("a sweep file is missing; or --query, to read the results in --out")
        if pictures or confirm:
            raise UsageError(f"--{'pictures' if pictures else 'confirm'} needs the sweep file")
        _show({}, out, query, limit, json)
        return
    words, text = read_sweep(sweep)
    epochs = _epochs(words)
    plan = plan_sweep(words, epochs)
    to_evaluate = 1 if plan.search is not None and confirm else workers  # a search takes one, its confirmation all
    done = _run(words, text, epochs, out, to_evaluate, dask)
    document: dict[str, Any] = {
        "results": str(done.path),
        "points": done.points,
        "feasible": done.feasible,
        "on_front": done.front,
        "reasons": done.reasons,
    }
    confirmed = _confirm(plan, out, workers) if confirm else []
    if confirm:
        document["confirmed"] = [asdict(one) for one in confirmed]
    if pictures:
        document["files"] = _draw(plan, out)
    _show(document, out, "front" if query is None else query, limit, json)
    if confirm and not json:
        _show_confirmed(confirmed, limit)


def _confirm(plan: Plan, out: Path, workers: int) -> list[Confirmation]:
    from caterpillar.cli.progress import Bar
    from caterpillar.explore import confirm

    with Bar() as bar:
        return confirm(plan, out, workers=workers, on_progress=bar.update)


def _show_confirmed(confirmed: list[Confirmation], limit: int) -> None:
    """The best as counted first; what cannot be executed last, with its reason."""
    from caterpillar.cli.output import print_table

    def cell(value: object) -> str:
        return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)

    names = ("estimated_cycles_per_sample", "cycles_per_sample", "estimated_utilization", "utilization")
    differ = [name for name in ("network", "prices") if len({getattr(one, name) for one in confirmed}) > 1]
    names = (
        "point",
        *differ,
        "rule",
        "batch",
        "mapping",
        *names,
        "estimated_gflops_per_watt",
        "gflops_per_watt",
        "reason",
    )
    ordered = sorted(confirmed, key=lambda one: -(one.gflops_per_watt or 0.0))
    rows = [[cell(getattr(one, name)) for name in names] for one in ordered[:limit]]
    executed = sum(one.reason is None for one in confirmed)
    print_table(f"The front as the simulator counts it: {executed} of {len(confirmed)} executed", names, rows)


def _run(words: Sweep, text: str, epochs: Epochs | None, out: Path, workers: int, dask: str | None) -> Exploration:
    from caterpillar.cli.progress import Bar
    from caterpillar.explore import explore

    with Bar() as bar:
        return explore(words, out, workers=workers, dask=dask, epochs=epochs, text=text, on_progress=bar.update)


def _epochs(sweep: Sweep) -> Epochs | None:
    """The stored study's epochs to the sweep's accuracy; plan_sweep refuses what is no accuracy."""
    percent = sweep.accuracy_percent
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        return None
    from caterpillar.reproduce import study_epochs

    return study_epochs(percent)


def _draw(plan: Plan, out: Path) -> list[str]:
    from caterpillar.checks import OutputError
    from caterpillar.report.sweeps import save_sweep_pictures

    try:
        return [str(path) for path in save_sweep_pictures(plan, out)]
    except OSError as error:
        raise OutputError(f"--out {out} cannot be written: {error.strerror}") from None


def _show(document: dict[str, Any], out: Path, query: str, limit: int, json: bool) -> None:
    """What was done, and the points that the query picks: the best in the first objective first, the unknown last."""
    from caterpillar.cli.output import print_json, print_table
    from caterpillar.explore import read_best, read_objectives

    objectives = read_objectives(out)
    best, picked = read_best(out, query, limit)
    points: list[dict[str, Any]] = best.to_pylist()
    if json:
        print_json({**document, "picked": picked, "shown": points})
        return
    if document:
        counts = {"points": document["points"], "feasible": document["feasible"], "on the front": document["on_front"]}
        typer.echo(", ".join(f"{count:,} {what}" for what, count in counts.items()))
        if document["reasons"]:
            print_table("Why points are infeasible", ("reason", "points"), document["reasons"].items())
    names = _columns(points, out, list(objectives))
    rows = [[f"{v:.4g}" if isinstance(v := point[name], float) else v for name in names] for point in points]
    title = f"{query}: {picked:,} points" + (f", the first {limit}" if picked > limit else "")
    print_table(title, names, rows)
    for name in (*document.get("files", ()), *([document["results"]] if document else ())):
        typer.echo(f"wrote {name}")


def _columns(points: list[dict[str, Any]], out: Path, objectives: list[str]) -> list[str]:
    """Columns worth their room on a terminal: the work where points differ, what was swept, objectives, why not."""
    from caterpillar.explore import read_swept

    words = ["network", "rule", "batch", "prices", "mapping", "numerics"]
    differ = [name for name in (*words, "reason") if len({point[name] for point in points}) > 1]
    work, why = [name for name in differ if name in words], [name for name in differ if name == "reason"]
    return list(dict.fromkeys(["point", *work, *read_swept(out), *objectives, "utilization", *why]))
