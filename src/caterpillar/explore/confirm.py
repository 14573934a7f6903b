"""The front's points walked through by the simulator: every control word checked, every event counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caterpillar.checks import CaterpillarError, Infeasible, OutputError
from caterpillar.cost import energy_pj
from caterpillar.counters import Counters
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.explore.plan import Plan
from caterpillar.explore.points import MACHINE_FIELDS
from caterpillar.explore.query import read_provenance, read_results
from caterpillar.explore.results import resolved
from caterpillar.explore.work import Work
from caterpillar.machine import Machine

CONFIRMED = "confirmed.parquet"
BEST = "best"
Counted = tuple[float, Counters] | Infeasible | CaterpillarError
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A point of the front beside what the simulator counts for it, a sample of the steady state.

    mapping: of the schedule that was executed: the point's own, and `best` beside it. estimated_*: what the sweep says
    of the point. Where it could not be executed the counted figures are None, and reason says why.
    """

    point: int
    network: str
    rule: str
    batch: int
    prices: str
    mapping: str
    estimated_cycles_per_sample: float
    estimated_utilization: float
    estimated_gflops_per_watt: float
    cycles_per_sample: float | None = None
    utilization: float | None = None
    gflops_per_watt: float | None = None
    reason: str | None = None


def confirm(
    plan: Plan, out: Path | str, *, workers: int = 1, on_progress: Progress = lambda _text, _done, _total: None
) -> list[Confirmation]:
    """Place every point of a finished sweep's front, execute the control of its ticks, and price what was counted.

    Writes out / confirmed.parquet, a row for each point and mapping. workers: processes. Raises OutputError, also where
    out holds another sweep than the plan's.
    """
    from joblib import Parallel, delayed

    out = Path(out)
    if read_provenance(out).get("resolved") != resolved(plan):
        raise OutputError(f"--out {out} holds another sweep")
    tasks: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for row in read_results(out, "front").to_pylist():
        work, number = divmod(row["point"], plan.machines)
        for mapping in dict.fromkeys((row["mapping"], BEST)):
            tasks.setdefault((work // plan.tables, number, mapping), []).append(row)
    found: list[Confirmation] = []
    run: Any = Parallel(n_jobs=workers, return_as="generator")
    jobs = (
        delayed(_confirm)(rows, [plan.works[row["point"] // plan.machines] for row in rows], mapping)
        for (_, _, mapping), rows in tasks.items()
    )
    for done, confirmed in enumerate(run(jobs), start=1):
        found += confirmed
        on_progress("simulating the front", done, len(tasks))
    _write(found, out / CONFIRMED)
    return found


def _confirm(rows: list[dict[str, Any]], works: list[Work], mapping: str) -> list[Confirmation]:
    """Points that differ in their prices alone: executed once, priced each."""
    machine = Machine(name="any", **{name: rows[0][name] for name in MACHINE_FIELDS})
    try:
        counted = _counted(works[0], machine, mapping)
    except CaterpillarError as error:
        counted = error
    return [_priced(row, work, machine, mapping, counted) for row, work in zip(rows, works, strict=True)]


def _priced(row: dict[str, Any], work: Work, machine: Machine, mapping: str, counted: Counted) -> Confirmation:
    """With the waits that the prices' memories cause."""
    about = {name: row[name] for name in ("point", "network", "rule", "batch", "prices")}
    about |= {f"estimated_{name}": row[name] for name in ("cycles_per_sample", "utilization", "gflops_per_watt")}
    if not isinstance(counted, tuple):
        return Confirmation(mapping=mapping, reason=str(counted), **about)
    try:
        answer = evaluate(work.network, work.rule, machine, mapping=mapping, prices=work.prices)
    except CaterpillarError as error:
        answer = error
    if not isinstance(answer, Evaluation):
        return Confirmation(mapping=mapping, reason=str(answer), **about)
    waits = answer.cycles["memory"]
    cycles, events = counted[0] + waits, counted[1] + Counters(pe_cycles=machine.pes * waits)
    energy = sum(energy_pj(events, work.prices.of(machine)).values())
    return Confirmation(
        mapping=mapping,
        cycles_per_sample=cycles,
        utilization=answer.macs_per_sample / (machine.pes * cycles),
        gflops_per_watt=2000 * answer.macs_per_sample / energy,
        **about,
    )


def _counted(work: Work, machine: Machine, mapping: str) -> Counted:
    """Cycles and events a sample of a steady tick as executed, or what does not fit."""
    from caterpillar.mapping import place
    from caterpillar.simulate import count

    schedule = place(work.rule(work.network), machine, mapping=mapping)
    if isinstance(schedule, Infeasible):
        return schedule
    (less, fewer), (more, events) = (count(schedule, ticks * schedule.batch) for ticks in (2, 3))
    return (more - less) / schedule.batch, (events + fewer * -1) * (1 / schedule.batch)


def _write(found: list[Confirmation], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        parquet.write_table(pa.Table.from_pylist([asdict(one) for one in found]), path, compression="zstd")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
