"""Search where a grid is too large: optuna proposes points, its journal in the sweep's folder keeps every trial."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from caterpillar.checks import OutputError, UsageError
from caterpillar.explore.plan import Plan, Search
from caterpillar.explore.points import Table, evaluate_points
from caterpillar.explore.results import objective_values
from caterpillar.explore.work import Work
from caterpillar.train.run_directory import replace_file

JOURNAL = "study.journal"
WORK_WORDS = ("network", "rule", "prices", "mapping", "numerics")


def search(plan: Plan, asked: Search, out: Path, report: Callable[[str, float, float], None]) -> Path:
    """Run the search asked for to its number of trials, from where the journal ends; the points met, as a chunk file.

    Every trial is proposed by a sampler seeded with the plan's seed and the trial's number, so the same sweep meets the
    same points. A trial that a kill broke off is noted as failed, and one more is run in its place.
    """
    study, optuna = _open_study(plan, out)
    finished = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    number, done = len(study.trials), len(finished)
    visited: dict[int, None] = dict.fromkeys(trial.user_attrs["point"] for trial in finished)
    placed: dict[int, Table] = {}  # rows that took long, kept so that they are made once
    works = {_words(work): place for place, work in enumerate(plan.works)}
    while done < asked.trials:
        study.sampler = _sampler(optuna, asked.sampler, plan.seed, number)
        trial = study.ask()
        point = _propose(plan, trial, works)
        trial.set_user_attr("point", point)
        visited[point] = None
        table = placed[point] if point in placed else _evaluate(plan, [point])
        if plan.places:
            placed[point] = table
        study.tell(trial, _judge(plan, table, trial))
        number, done = number + 1, done + 1
        report(f"trial {done} of {asked.trials}", done, asked.trials)
    again = [point for point in sorted(visited) if point not in placed]
    return _write_points([*placed.values(), *([_evaluate(plan, again)] if again else [])], out)


def _open_study(plan: Plan, out: Path) -> tuple[Any, Any]:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise UsageError("a [search] needs the study extra: pip install 'caterpillar-cgra[study]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = out / JOURNAL
    _mend(journal)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        study = optuna.create_study(
            storage=storage,
            study_name="sweep",
            directions=[optuna.study.StudyDirection.MINIMIZE] * len(plan.objectives),
            load_if_exists=True,
        )
    except (OSError, ValueError) as error:
        raise OutputError(f"{journal} cannot be used: {error}") from None
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study, optuna


def _mend(journal: Path) -> None:
    """Drop the line that a kill tore, and the journal's lock, whose holder is gone: the folder's lock is ours."""
    if not journal.exists():
        return
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink()
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        replace_file(journal, lambda file: file.write(whole))


def _sampler(optuna: Any, name: str, seed: int, number: int) -> Any:
    seeded = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seeded)
    return optuna.samplers.NSGAIISampler(seed=seeded)


def _words(work: Work) -> tuple[str, ...]:
    return (work.label("network"), work.rule.label, work.prices.name, work.mapping, work.numerics)


def _propose(plan: Plan, trial: Any, works: dict[tuple[str, ...], int]) -> int:
    """Numbers are proposed by their place on the axis, which keeps their order; names as categories."""
    words: list[str] = []
    for place, word in enumerate(WORK_WORDS):
        choices = list(dict.fromkeys(names[place] for names in works))
        words.append(choices[0] if len(choices) == 1 else trial.suggest_categorical(word, choices))
    machine = 0
    for name, values in plan.axes.items():
        place = 0 if len(values) == 1 else trial.suggest_int(name, 0, len(values) - 1)
        machine = machine * len(values) + place
    return works[tuple(words)] * plan.machines + machine


def _judge(plan: Plan, table: Table, trial: Any) -> list[float]:
    """The objectives of a point, to be minimised; what it misses where it is infeasible is noted in the trial."""
    row = table.to_pylist()[0]
    for name, off in _violations(plan, plan.works[row["point"] // plan.machines], row).items():
        trial.set_constraint(name, off)
    values = objective_values(plan, table)[0]
    return [inf if np.isnan(value) else float(value) for value in values]


def _violations(plan: Plan, work: Work, row: dict[str, Any]) -> dict[str, float]:
    """What a point is off by, relative to what is allowed: above 0 where it is not met. The sampler adds them up."""
    if row["cycles_per_sample"] is None:  # it does not fit, or cannot be placed or priced
        needs, has = row["needs_bytes"], row["has_bytes"]
        return {"evaluated": needs / has - 1 if needs and has else 1.0}
    known = [bounds for bounds in plan.constraints if row[bounds.quantity] is not None]
    off = {bounds.quantity: bounds.off(row[bounds.quantity]) for bounds in known}
    if plan.must_fit:
        off["fits"] = row["off_core_words"] / work.network.weights
    if plan.accuracy_percent is not None:
        off["accuracy_percent"] = float(work.epochs is None)
    return off


def _evaluate(plan: Plan, points: list[int]) -> Table:
    """The rows of points that rise."""
    import pyarrow as pa

    by_work: dict[int, list[int]] = {}
    for point in points:
        work, machine = divmod(point, plan.machines)
        by_work.setdefault(work, []).append(machine)
    tables: list[Table] = []
    for work, numbers in by_work.items():
        machines = np.array(numbers)
        asked = [plan.works[work]]
        tables.append(evaluate_points(plan, asked, plan.machine_columns(machines), [machines + work * plan.machines]))
    return pa.concat_tables(tables).unify_dictionaries()


def _write_points(tables: list[Table], out: Path) -> Path:
    """All points met, each once, in the order of their numbers."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.concat_tables(tables).unify_dictionaries().sort_by("point")
    path = out / "chunks" / "points.parquet"
    replace_file(path, lambda file: parquet.write_table(table, file))
    return path
