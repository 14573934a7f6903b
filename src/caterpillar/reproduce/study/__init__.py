"""The convergence study (the paper's Fig. 5 in full): its plan, its runner and its stored results."""

from caterpillar.reproduce.study.plan import METHODS, STUDY, Method, Study, Trial
from caterpillar.reproduce.study.run import run_study, run_trials

__all__ = ["METHODS", "STUDY", "Method", "Study", "Trial", "run_study", "run_trials"]
