"""The paper's experiments as data, ours beside them, and what counts as reproduced."""

from caterpillar.reproduce.fig5 import QUICK, Training
from caterpillar.reproduce.rows import Row, Verdict, judge
from caterpillar.reproduce.run import run_reproduction

__all__ = ["QUICK", "Row", "Training", "Verdict", "judge", "run_reproduction"]
