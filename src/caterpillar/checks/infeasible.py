"""The answer "does not fit": a result, not a crash."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasible:
    """What was too small, by how much, and what would help. Bytes are of one place (a PE, a core)."""

    what: str
    needs_bytes: int
    has_bytes: int
    hint: str

    def __str__(self) -> str:
        return f"{self.what} needs {self.needs_bytes} bytes and has {self.has_bytes}: {self.hint}"
