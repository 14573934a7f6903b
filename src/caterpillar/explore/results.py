"""Results on disk: chunk files become one parquet file with the front marked and its whole provenance."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from caterpillar.checks import OutputError
from caterpillar.explore.pareto import pareto_front
from caterpillar.explore.plan import Plan
from caterpillar.explore.points import Table

RESULTS = "results.parquet"
ROW_GROUP = 65_536  # rows, at least
PROVENANCE = "caterpillar."  # before the keys of the file's metadata


def provenance(plan: Plan, text: str) -> dict[str, str]:
    """What the results come from: the sweep as it was written and as it was understood, and the versions."""
    packages = ("caterpillar-cgra", "numpy", "pyarrow", *(("optuna",) if plan.search else ()))
    versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}
    return {
        "sweep": text,
        "sweep_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "resolved": resolved(plan),
        "versions": json.dumps(versions, sort_keys=True),
        "seed": str(plan.seed),
    }


def resolved(plan: Plan) -> str:
    """The sweep as it was understood: what two sweeps with the same results have in common."""
    return json.dumps(plan.identity(), sort_keys=True)


def write_results(plan: Plan, origin: dict[str, str], parts: Iterable[Path], path: Path) -> None:
    """Join chunk files, in their order, into path; so many are in memory at a time as a row group takes.

    Raises OutputError.
    """
    import pyarrow as pa
    from pyarrow import parquet

    parts = list(parts)
    try:
        on_front = _front(plan, parts)
        beside = path.with_name(f".{path.name}.part")
        schema = _with_front(_read(parts[0]), np.zeros(0, np.int64)).schema
        schema = schema.with_metadata({f"{PROVENANCE}{key}": value for key, value in origin.items()})
        with parquet.ParquetWriter(beside, schema, compression="zstd") as writer:
            for table in _row_groups(parts):
                writer.write_table(_with_front(table, on_front).cast(schema))
        beside.replace(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"{path} cannot be written: {error}") from None


def _row_groups(parts: list[Path]) -> Iterator[Table]:
    """Chunks' tables, small ones together: a row group of a few rows is mostly the description of its columns."""
    import pyarrow as pa

    waiting: list[Table] = []
    for part in parts:
        waiting.append(_read(part))
        if part == parts[-1] or sum(table.num_rows for table in waiting) >= ROW_GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []


def _read(part: Path, **what: Any) -> Table:
    """A chunk's table. Raises OutputError that says how to go on where the file is damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(part, **what)
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{part} is damaged, remove it and run the sweep again: {error}") from None


def objective_values(plan: Plan, table: Table) -> Any:
    """(points, objectives) to be minimised: what is to be maximised is negated."""
    signs = [1.0 if sense == "min" else -1.0 for _, sense in plan.objectives]
    columns = [table[name].to_numpy() * sign for (name, _), sign in zip(plan.objectives, signs, strict=True)]
    return np.column_stack(columns).astype(np.float64)


def fronts(values: Any, tables: Any) -> Any:
    """Which rows of objective_values are on the front of their price table, tables[row].

    Prices are a way of judging machines, not a choice among them: a point is never off the front for dearer prices.
    """
    on_front = np.zeros(len(values), np.bool_)
    for table in np.unique(tables):
        rows = np.flatnonzero(tables == table)
        on_front[rows] = pareto_front(values[rows])
    return on_front


def _front(plan: Plan, parts: list[Path]) -> Any:
    """Points on the fronts, rising. A chunk's own front is all that can be on the whole one's."""
    from pyarrow import compute

    names = [name for name, _ in plan.objectives]
    kept = [(np.zeros(0, np.int64), np.zeros((0, len(names))))]
    for part in parts:
        table = _read(part, columns=["point", *names], filters=compute.field("feasible"))
        kept.append(_on_fronts(plan, table["point"].to_numpy(), objective_values(plan, table)))
    joined = (np.concatenate(columns) for columns in zip(*kept, strict=True))
    return np.sort(_on_fronts(plan, *joined)[0])


def _on_fronts(plan: Plan, points: Any, values: Any) -> tuple[Any, Any]:
    keep = fronts(values, points // plan.machines % plan.tables)
    return points[keep], values[keep]


def _with_front(table: Table, on_front: Any) -> Table:
    import pyarrow as pa

    marked = np.isin(table["point"].to_numpy(), on_front)
    place = table.column_names.index("feasible") + 1
    return table.add_column(place, "front", pa.array(marked))
