"""explore: a sweep in, a folder of results out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caterpillar.checks import CaterpillarError, UsageError
from caterpillar.explore.folder import chunk_path, keep_chunk, open_folder
from caterpillar.explore.plan import Plan, plan_sweep
from caterpillar.explore.points import Chunk, chunk_bytes, chunks
from caterpillar.explore.query import read_results
from caterpillar.explore.results import RESULTS, provenance, write_results
from caterpillar.explore.sweep import Sweep
from caterpillar.explore.work import Epochs
from caterpillar.explore.workers import backend

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """A finished sweep: where it lies, how many points it has, and why some are infeasible (reason -> points)."""

    path: Path
    points: int
    feasible: int
    front: int
    reasons: dict[str, int]


def explore(
    sweep: Sweep,
    out: Path | str,
    *,
    workers: int = 1,
    dask: str | None = None,
    epochs: Epochs | None = None,
    text: str | None = None,
    chunk_points: int | None = None,
    on_progress: Progress | None = None,
) -> Exploration:
    """Evaluate every point of a sweep, or search, into out / results.parquet; read_results reads it.

    workers: processes, which joblib runs. dask: the address of a dask scheduler to use in their place, or "local" for a
    cluster of `workers` on this machine. The results are the same, and in the same order, whatever does the work. A
    rerun goes on with what is finished. epochs, chunk_points: as for plan_sweep; a worker that is killed loses its
    chunk. text: the sweep as its author wrote it, for the results' provenance (default: its words as JSON).
    Raises UsageError and SpecError before any work starts, OutputError for a folder of another sweep.
    """
    if workers < 1:
        raise UsageError(f"--workers must be an int of at least 1, got {workers}")
    plan = plan_sweep(sweep, epochs, chunk_points=chunk_points)
    if plan.search is not None and (workers > 1 or dask is not None):
        raise UsageError("a [search] runs in one process: --workers and --dask are for a sweep without one")
    origin = provenance(plan, sweep.as_text() if text is None else text)
    report = on_progress or _silent
    out = Path(out)
    with open_folder(out, origin):
        if plan.search is None:
            parts = _grid(plan, out, workers, dask, report)
        else:
            from caterpillar.explore.search import search

            parts = [search(plan, plan.search, out, report)]
        write_results(plan, origin, parts, out / RESULTS)
    return _summary(out)


def _grid(plan: Plan, out: Path, workers: int, dask: str | None, report: Progress) -> list[Path]:
    """Every chunk in its file. A worker that dies takes a round with it, not the sweep."""
    from concurrent.futures.process import BrokenProcessPool

    cut = chunks(plan)
    folder = out.resolve()  # a worker's current directory may be another
    parts = [chunk_path(folder, place) for place in range(len(cut))]
    with backend(workers, dask):
        while missing := [place for place, part in enumerate(parts) if not part.exists()]:
            try:
                _round(plan, cut, parts, missing, report, shared=dask is None)
            except BrokenProcessPool:
                if all(not parts[place].exists() for place in missing):
                    raise CaterpillarError(
                        f"workers die before they finish a chunk; {len(parts) - len(missing)} of {len(parts)} chunks "
                        f"are in {out}, and a rerun goes on from there"
                    ) from None
    return parts


def _round(
    plan: Plan, cut: list[Chunk], parts: list[Path], missing: list[int], report: Progress, *, shared: bool
) -> None:
    """The missing chunks. Processes, which share our disk, write them; from elsewhere their bytes come here.

    What processes send back is so short that it is written in one piece: joblib would wait for ever for the rest of a
    message whose sender was killed.
    """
    from joblib import Parallel, delayed

    run: Any = Parallel(return_as="generator_unordered", pre_dispatch="2 * n_jobs")
    done = len(parts) - len(missing)
    tasks = (delayed(_chunk)(plan, cut[place], place, parts[place] if shared else None) for place in missing)
    for place, content in run(tasks):
        if content is not None:
            keep_chunk(parts[place], content)
        done += 1
        report(f"{done} of {len(parts)} chunks", done, len(parts))


def _silent(*_: object) -> None:
    pass


def _chunk(plan: Plan, chunk: Chunk, place: int, path: Path | None) -> tuple[int, bytes | None]:
    """Evaluate the chunk of that place into path, or without one into bytes."""
    content = chunk_bytes(plan, chunk)
    if path is None:
        return place, content
    keep_chunk(path, content)
    return place, None


def _summary(out: Path) -> Exploration:
    table = read_results(out, columns=["feasible", "front", "reason"])
    counts: list[dict[str, Any]] = table["reason"].drop_null().value_counts().to_pylist()
    ordered = sorted(counts, key=lambda entry: (-entry["counts"], entry["values"]))
    return Exploration(
        path=out / RESULTS,
        points=table.num_rows,
        feasible=int(table["feasible"].to_numpy().sum()),
        front=int(table["front"].to_numpy().sum()),
        reasons={entry["values"]: entry["counts"] for entry in ordered},
    )
