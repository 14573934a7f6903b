"""What a sweep is asked for, in words: the same in Python and in a TOML file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from caterpillar.checks import SpecError, UsageError

Words = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep in words; plan_sweep checks them. Every combination of network, rule, ..., machine is a point.

    Where values are asked for, one will do, a list, or a range: {"from": 2, "to": 16, "step": 2} or {"from": 2, "to":
    16, "times": 2}, ends included.
    network: as for --network. rule: by name, each with every batch; sgd and cp, which take single samples, once.
    prices, mapping, numerics: by name. machine: values of Machine's fields; `base`, a preset or a TOML file, has those
    that are not named, and a field may follow another: {"ring_words_per_cycle": "pe_rows"}.
    constraints: {quantity: {"min": ..., "max": ...}}, and {"fits": True} for no words off-core. objectives:
    {quantity: "min" or "max"}. epoch_samples: samples of an epoch, 6000 in the convergence study. accuracy_percent: the
    accuracy that quantities "to_accuracy" mean, whose epochs are the study's. search: {"sampler": "nsga2" or "tpe",
    "trials": 1000} in place of all points; seed: for it.
    """

    network: Any
    rule: Any
    objectives: Words
    batch: Any = 1
    prices: Any = "paper"
    mapping: Any = "paper"
    numerics: Any = "fp16"
    machine: Words = field(default_factory=dict[str, Any])
    constraints: Words = field(default_factory=dict[str, Any])
    epoch_samples: int = 6000
    accuracy_percent: float | None = None
    search: Words | None = None
    seed: int = 0

    def as_text(self) -> str:
        """The words as JSON."""
        return json.dumps({f.name: getattr(self, f.name) for f in fields(self)}, indent=2)


def read_sweep(path: Path | str) -> tuple[Sweep, str]:
    """A sweep from a TOML file whose keys are Sweep's fields, and the file's text. Raises UsageError or SpecError."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"sweep file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"sweep file {path} is not TOML: {error}") from None
    allowed = [f.name for f in fields(Sweep)]
    refuse_unknown(table, allowed, str(path))
    missing = [name for name in ("network", "rule", "objectives") if name not in table]
    if missing:
        raise SpecError(f"{path}: {missing[0]} is missing")
    return Sweep(**table), text


def refuse_unknown(table: Any, allowed: list[str], where: str) -> None:
    """Raise SpecError for what is no table, and for the first key that is not allowed."""
    if not isinstance(table, Mapping):
        raise SpecError(f"{where} must be a table, got {table!r}")
    unknown = [key for key in cast("Words", table) if key not in allowed]
    if unknown:
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(allowed)}")
