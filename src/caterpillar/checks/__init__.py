"""Limits on fields, and the errors that every room raises."""

from caterpillar.checks.errors import (
    CaterpillarError,
    DataError,
    Diverged,
    OutputError,
    SpecError,
    UsageError,
)
from caterpillar.checks.infeasible import Infeasible
from caterpillar.checks.limits import Choice, Limit, check
from caterpillar.checks.toml import read_toml, refuse_unknown_keys

__all__ = [
    "CaterpillarError",
    "Choice",
    "DataError",
    "Diverged",
    "Infeasible",
    "Limit",
    "OutputError",
    "SpecError",
    "UsageError",
    "check",
    "read_toml",
    "refuse_unknown_keys",
]
