"""A row: the paper's value, ours, the difference and a verdict; and what the verdicts mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from caterpillar.reproduce.paper import Tolerance

Verdict = Literal["reproduced", "differs", "paper-contradicts-itself"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity of one case. artifact: area, table2, fig5, fig10 or text (what the paper's sentences say).

    case: A, B (machines), N1, N2, N3 or a network's name. rule: sgd, cp, mbgd50, ...; empty where none takes part.
    paper, ours: None where there is no value (never reached; does not fit). source: where ours comes from.
    paper_mapping, best_mapping: the same as the micro-programs of each mapping take it; None where there are none.
    """

    artifact: str
    case: str
    rule: str
    quantity: str
    unit: str
    paper: float | None
    ours: float | None
    source: str
    verdict: Verdict
    note: str = ""
    paper_mapping: float | None = None
    best_mapping: float | None = None

    @property
    def difference(self) -> float | None:
        """ours - paper, in the row's unit."""
        return None if self.paper is None or self.ours is None else self.ours - self.paper

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "difference": self.difference}


def judge(paper: float, ours: float | None, tolerance: Tolerance, *, elsewhere: float | None = None) -> Verdict:
    """reproduced: ours is within the tolerance of the paper's value. paper-contradicts-itself: it is not, and what the
    paper says elsewhere of the same thing is met by ours within the same tolerance. differs: neither.
    """
    if ours is None:
        return "differs"
    if tolerance.met(paper, ours):
        return "reproduced"
    if elsewhere is not None and tolerance.met(elsewhere, ours):
        return "paper-contradicts-itself"
    return "differs"
