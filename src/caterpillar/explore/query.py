"""Reading results, all of them or those that an expression picks.

An expression compares columns with numbers, texts, true and false, and joins comparisons with and, or, not:
    area_mm2 < 100 and rule in ("cp", "mbcp") and not neighbour_links
It is Python's notation and is parsed, never run: what is not in the grammar is refused.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Any, cast

from caterpillar.checks import OutputError, UsageError
from caterpillar.explore.points import Table
from caterpillar.explore.results import PROVENANCE, RESULTS

NO_RESULTS = "{path} does not exist: caterpillar explore with a sweep file writes it"
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: lt,
    ast.LtE: le,
    ast.Gt: gt,
    ast.GtE: ge,
    ast.Eq: eq,
    ast.NotEq: ne,
}
_WORDS = {"true": True, "false": False}


def read_results(folder: Path | str, query: str | None = None, *, columns: Sequence[str] | None = None) -> Table:
    """The results in a folder, or those rows that the query picks. Raises OutputError, UsageError."""
    return _read(folder, query, columns)


def read_best(folder: Path | str, query: str, limit: int) -> tuple[Table, int]:
    """At most limit of the rows that the query picks, and how many it picks; the best in the first objective first.

    Those where it is not known come last. Raises OutputError, UsageError.
    """
    from pyarrow import compute

    name, sense = next(iter(read_objectives(folder).items()))
    order = [(name, "ascending" if sense == "min" else "descending"), ("point", "ascending")]
    picked = read_results(folder, query, columns=["point", name])
    best: Any = compute.field("point").isin(picked.sort_by(order)["point"].slice(0, limit))
    return _read(folder, best).sort_by(order), picked.num_rows


def _read(folder: Path | str, query: Any, columns: Sequence[str] | None = None) -> Table:
    """As read_results, also for an expression of pyarrow's."""
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(folder) / RESULTS
    try:
        picked = parse_query(query, parquet.read_schema(path).names) if isinstance(query, str) else query
        return parquet.read_table(path, columns=None if columns is None else list(columns), filters=picked)
    except FileNotFoundError:
        raise OutputError(NO_RESULTS.format(path=path)) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"{path} cannot be read: {error}") from None
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise UsageError(f"--query compares what cannot be compared: {error}") from None


def read_objectives(folder: Path | str) -> dict[str, str]:
    """The objectives of the sweep in a folder, each with its sense, min or max. Raises OutputError."""
    return dict(_resolved(folder, "objectives"))


def read_swept(folder: Path | str) -> list[str]:
    """The fields of Machine that the sweep in a folder varies. Raises OutputError."""
    described: dict[str, Any] = _resolved(folder, "machine")
    return [name for name, value in described.items() if isinstance(value, list) and len(cast("list[Any]", value)) > 1]


def _resolved(folder: Path | str, key: str) -> Any:
    origin = read_provenance(folder)
    try:
        return json.loads(origin["resolved"])[key]
    except (KeyError, ValueError):
        raise OutputError(f"{Path(folder) / RESULTS} is not of a sweep: it does not say its {key}") from None


def read_provenance(folder: Path | str) -> dict[str, str]:
    """What the results carry of their origin: sweep, sweep_sha256, resolved, versions, seed. Raises OutputError."""
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(folder) / RESULTS
    try:
        stored: dict[bytes, bytes] = parquet.read_schema(path).metadata or {}
    except FileNotFoundError:
        raise OutputError(NO_RESULTS.format(path=path)) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"{path} cannot be read: {error}") from None
    prefix = PROVENANCE.encode()
    return {
        key.removeprefix(prefix).decode(): value.decode() for key, value in stored.items() if key.startswith(prefix)
    }


def parse_query(query: str, columns: Sequence[str]) -> Any:
    """The pyarrow expression of a query over columns. Raises UsageError for what is not in the grammar."""
    import pyarrow as pa

    try:
        tree = ast.parse(query.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"--query is no expression: {query!r}") from None
    try:
        return _condition(tree.body, columns)
    except RecursionError:
        raise UsageError("--query is too deep") from None
    except OverflowError:
        raise UsageError("--query has an integer of more than 64 bits: write it with an exponent, as 1e30") from None
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise UsageError(f"--query compares what cannot be compared: {error}") from None


def _condition(node: ast.expr, columns: Sequence[str]) -> Any:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_condition(value, columns) for value in values]
            whole = parts[0]
            for part in parts[1:]:
                whole = whole & part if isinstance(op, ast.And) else whole | part
            return whole
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_condition(operand, columns)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            sides = [left, *rights]
            whole = _comparison(sides[0], ops[0], sides[1], columns)
            for place in range(1, len(ops)):
                whole = whole & _comparison(sides[place], ops[place], sides[place + 1], columns)
            return whole
        case ast.Name():
            return _column(node, columns)
        case _:
            raise _refused(node)


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, columns: Sequence[str]) -> Any:
    if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List):
        found = _column(left, columns).isin([_constant(value) for value in right.elts])
        return found if isinstance(op, ast.In) else ~found
    if type(op) not in _COMPARE:
        raise _refused(left)
    return _COMPARE[type(op)](_side(left, columns), _side(right, columns))


def _side(node: ast.expr, columns: Sequence[str]) -> Any:
    from pyarrow import compute

    if isinstance(node, ast.Name) and node.id not in _WORDS:
        return _column(node, columns)
    return compute.scalar(_constant(node))


def _column(node: ast.expr, columns: Sequence[str]) -> Any:
    from pyarrow import compute

    if not isinstance(node, ast.Name):
        raise _refused(node)
    if node.id not in columns:
        raise UsageError(f"--query: unknown column {node.id!r}; there are {', '.join(columns)}")
    return compute.field(node.id)


def _constant(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name]
        case _:
            raise _refused(node)


def _refused(node: ast.expr) -> UsageError:
    return UsageError(
        f"--query may hold columns, numbers, texts, <, <=, >, >=, ==, !=, in, and, or, not; got {ast.unparse(node)!r}"
    )
