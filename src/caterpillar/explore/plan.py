"""A sweep checked and made out: which work on which machines, under what constraints, for what objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, prod
from typing import TYPE_CHECKING, Any, cast

from caterpillar.checks import SpecError, UsageError
from caterpillar.cost import Prices
from caterpillar.explore.quantities import QUANTITIES, TO_ACCURACY, Sense
from caterpillar.explore.reach import refuse_impossible
from caterpillar.explore.sweep import Sweep, refuse_unknown
from caterpillar.explore.values import values_of
from caterpillar.explore.work import Epochs, Work, make_works, text_of
from caterpillar.machine import LIMITS, Machine, machine_columns, parse_machine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELDS = {limit.field: limit for limit in LIMITS}
CHUNK_POINTS = 65_536  # about a second's work, and what a kill can lose; where machines are placed, one is
MOST_POINTS = 1_000_000_000
MOST_TO_SEARCH = 2**62  # so that a point's number fits a word
SAMPLERS = ("nsga2", "tpe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A quantity must lie within [least, most]."""

    quantity: str
    least: float = 0.0
    most: float = inf

    def off(self, value: float) -> float:
        """By how much of the bound that it misses a value, at least 0, is outside; at most 0 within."""
        below = 1 - value / self.least if self.least > 0 else 0.0
        above = value / self.most - 1 if self.most > 0 else value
        return max(below, above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search in place of all points: by which sampler, how many trials."""

    sampler: str
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked sweep.

    Point p is work p // machines on machine p % machines; of a machine's axes the last one runs fastest, of a work's
    words the price table.
    tables: price tables; work w has table w % tables. axes: field -> its values. follows: field -> the field whose
    value it takes.
    """

    works: tuple[Work, ...]
    tables: int
    base: Machine
    axes: dict[str, tuple[Any, ...]]
    follows: dict[str, str]
    constraints: tuple[Bounds, ...]
    must_fit: bool
    objectives: tuple[tuple[str, Sense], ...]
    epoch_samples: int
    accuracy_percent: float | None
    search: Search | None
    seed: int
    chunk_points: int

    @property
    def places(self) -> bool:
        """Whether machines are placed one by one."""
        return any(work.places for work in self.works)

    @property
    def machines(self) -> int:
        """Machines that the axes make."""
        return prod(len(values) for values in self.axes.values())

    @property
    def points(self) -> int:
        """Works times machines."""
        return len(self.works) * self.machines

    def machine_columns(self, numbers: NDArray[np.int64]) -> Machine:
        """The machines of those numbers, as columns."""
        import numpy as np

        index = numbers
        columns: dict[str, Any] = {}
        for name, values in reversed(self.axes.items()):
            columns[name] = np.array(values)[index % len(values)]
            index = index // len(values)
        columns |= {name: columns.get(leader, getattr(self.base, leader)) for name, leader in self.follows.items()}
        return machine_columns(self.base, columns)

    def machine(self, places: Mapping[str, int]) -> Machine:
        """The machine at a place on every axis. Raises SpecError where a field that follows is out of its limits."""
        chosen = {name: values[places[name]] for name, values in self.axes.items()}
        chosen |= {name: chosen.get(leader, getattr(self.base, leader)) for name, leader in self.follows.items()}
        return Machine(**{**asdict(self.base), **chosen})

    def identity(self) -> dict[str, Any]:
        """All that determines the results, as plain values."""
        return {
            "works": [
                {
                    "network": list(work.network.sizes),
                    "activation": work.network.activation,
                    "rule": work.rule.label,
                    "prices": asdict(work.prices) if isinstance(work.prices, Prices) else work.prices.name,
                    "mapping": work.mapping,
                    "numerics": work.numerics,
                    "epochs": work.epochs,
                }
                for work in self.works
            ],
            "machine": asdict(self.base) | {name: list(values) for name, values in self.axes.items()} | self.follows,
            "constraints": [[b.quantity, b.least, None if b.most == inf else b.most] for b in self.constraints],
            "must_fit": self.must_fit,
            "objectives": [list(objective) for objective in self.objectives],
            "epoch_samples": self.epoch_samples,
            "accuracy_percent": self.accuracy_percent,
            "search": None if self.search is None else asdict(self.search),
            "seed": self.seed,
            "chunk_points": self.chunk_points,
        }


def plan_sweep(sweep: Sweep, epochs: Epochs | None = None, *, chunk_points: int | None = None) -> Plan:
    """Check a sweep. epochs: to its accuracy_percent; caterpillar.reproduce.study_epochs has the study's.

    chunk_points: what a worker takes at a time (default: what takes seconds; where machines are placed, one machine
    under one rule, with every price table).
    Raises UsageError or SpecError that names the word, its value and what is allowed.
    """
    _whole("epoch_samples", sweep.epoch_samples, 1, 10**12)
    _whole("seed", sweep.seed, 0, 2**32 - 1)
    base, axes, follows = _machine(sweep.machine)
    objectives = _objectives(sweep.objectives)
    constraints, must_fit = _constraints(sweep.constraints)
    wanted = [name for name, _ in objectives] + [bounds.quantity for bounds in constraints]
    _check_accuracy(sweep, wanted, epochs)
    works = make_works(sweep, epochs)
    tables = len({work.label("prices") for work in works})
    if chunk_points is None:
        chunk_points = tables if any(work.places for work in works) else CHUNK_POINTS
    _whole("chunk_points", chunk_points, 1, 10**7)
    plan = Plan(
        works=works,
        tables=tables,
        base=base,
        axes=axes,
        follows=follows,
        constraints=constraints,
        must_fit=must_fit,
        objectives=objectives,
        epoch_samples=sweep.epoch_samples,
        accuracy_percent=sweep.accuracy_percent,
        search=_search(sweep.search),
        seed=sweep.seed,
        chunk_points=chunk_points,
    )
    if plan.search is None and plan.points > MOST_POINTS:
        raise UsageError(f"the sweep has {plan.points:,} points, the most is {MOST_POINTS:,}: give it a [search]")
    if plan.search is not None and plan.tables > 1:
        raise UsageError(f"a [search] takes one price table, got {plan.tables}: the cheapest would win, not a machine")
    if plan.points > MOST_TO_SEARCH:
        raise UsageError(f"the sweep has {plan.points:.3g} points, the most to search is {MOST_TO_SEARCH:.3g}")
    refuse_impossible(plan)
    return plan


def _machine(words: Mapping[str, Any]) -> tuple[Machine, dict[str, tuple[Any, ...]], dict[str, str]]:
    refuse_unknown(words, ["base", *FIELDS], "machine")
    base = parse_machine(text_of(words.get("base", "paper-a"), "machine.base"))
    named = {name: value for name, value in words.items() if name != "base"}
    follows = {name: value for name, value in named.items() if isinstance(value, str)}
    axes = {name: values_of(value, f"machine.{name}") for name, value in named.items() if name not in follows}
    for name, values in axes.items():
        for value in values:
            FIELDS[name].check("machine", value)
        if name == "clock_hz":
            axes[name] = tuple(float(value) for value in values)
    for name, leader in follows.items():
        if leader not in FIELDS or leader in follows:
            allowed = [field for field in FIELDS if field not in follows]
            raise SpecError(f"machine.{name} can follow one of {', '.join(allowed)}, got {leader!r}")
        for value in axes.get(leader, (getattr(base, leader),)):
            FIELDS[name].check("machine", value)
    return base, axes, follows


def _objectives(words: Any) -> tuple[tuple[str, Sense], ...]:
    if not isinstance(words, Mapping) or not words:
        raise SpecError(f'objectives must be a table such as {{ gflops_per_watt = "max" }}, got {words!r}')
    objectives = cast("Mapping[str, Sense]", words)
    refuse_unknown(objectives, list(QUANTITIES), "objectives")
    for name, sense in objectives.items():
        if sense not in ("min", "max"):
            raise SpecError(f"objectives.{name} must be one of min, max, got {sense!r}")
    return tuple(objectives.items())


def _constraints(words: Mapping[str, Any]) -> tuple[tuple[Bounds, ...], bool]:
    refuse_unknown(words, ["fits", *QUANTITIES], "constraints")
    must_fit = words.get("fits", False)
    if not isinstance(must_fit, bool):
        raise SpecError(f"constraints.fits must be one of true, false, got {must_fit!r}")
    return tuple(_bounds(name, value) for name, value in words.items() if name != "fits"), must_fit


def _bounds(name: str, words: Any) -> Bounds:
    if not isinstance(words, Mapping) or not words:
        raise SpecError(f"constraints.{name} must be a table such as {{ max = 100 }}, got {words!r}")
    ends = cast("Mapping[str, Any]", words)
    refuse_unknown(ends, ["min", "max"], f"constraints.{name}")
    for end, value in ends.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < inf:
            raise SpecError(f"constraints.{name}.{end} must be a number, got {value!r}")
    bounds = Bounds(quantity=name, least=float(ends.get("min", 0.0)), most=float(ends.get("max", inf)))
    about = QUANTITIES[name]
    if bounds.least > bounds.most or bounds.least > about.most or bounds.most < 0:
        raise SpecError(
            f"constraints.{name} cannot be met: {dict(ends)!r} leaves nothing of [0, {about.most:g}], in which it lies "
            f"({about.says})"
        )
    return bounds


def _check_accuracy(sweep: Sweep, wanted: list[str], epochs: Epochs | None) -> None:
    percent: Any = sweep.accuracy_percent
    if percent is not None and (
        isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100
    ):
        raise SpecError(f"accuracy_percent must be a number in (0, 100], got {percent!r}")
    asked = [name for name in wanted if name in TO_ACCURACY]
    if asked and percent is None:
        raise SpecError(f"{asked[0]} needs accuracy_percent, which is missing")
    if epochs is None:
        if percent is not None:
            raise UsageError(
                f"accuracy_percent {percent:g} needs epochs, and none are given: "
                f"caterpillar.reproduce.study_epochs({percent:g}) has the convergence study's"
            )
    elif epochs.percent != percent:
        raise UsageError(f"the epochs given are to {epochs.percent:g} %, accuracy_percent is {percent}")
    elif epochs.samples != sweep.epoch_samples:
        raise SpecError(
            f"epoch_samples must be {epochs.samples} with accuracy_percent, as in the runs whose epochs were counted, "
            f"got {sweep.epoch_samples}"
        )


def _search(words: Any) -> Search | None:
    if words is None:
        return None
    refuse_unknown(words, ["sampler", "trials"], "search")
    table = cast("Mapping[str, Any]", words)
    sampler, trials = table.get("sampler", "nsga2"), table.get("trials", 1000)
    if sampler not in SAMPLERS:
        raise SpecError(f"search.sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    _whole("search.trials", trials, 1, 1_000_000)
    return Search(sampler=sampler, trials=trials)


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SpecError(f"{name} must be an int in [{low}, {high}], got {value!r}")
