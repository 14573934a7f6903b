"""The paper's experiments as data, ours beside them, and what counts as reproduced."""

from caterpillar.reproduce.rows import Row, Verdict, judge
from caterpillar.reproduce.run import Reproduction, run_reproduction
from caterpillar.reproduce.study.results import study_epochs

__all__ = ["Reproduction", "Row", "Verdict", "judge", "run_reproduction", "study_epochs"]
