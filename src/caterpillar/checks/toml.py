"""The door for a user's TOML files: read once, unknown keys refused, one line for whatever is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from caterpillar.checks.errors import SpecError, UsageError


def read_toml(path: Path, option: str) -> dict[str, Any]:
    """The table in a file that an option names. Raises UsageError if it cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{option} file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} file {path} is not TOML: {error}") from None


def refuse_unknown_keys(table: dict[str, Any], allowed: Iterable[str], where: object) -> None:
    """Raise SpecError for a key that is not allowed: a typo must not be taken for a default."""
    names = tuple(allowed)
    unknown = sorted(set(table) - set(names))
    if unknown:
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(names)}")
