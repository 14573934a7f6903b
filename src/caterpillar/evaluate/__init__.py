"""The one entry point: network, rule and machine in, an Evaluation or what does not fit out."""

from caterpillar.evaluate.columns import evaluate_columns
from caterpillar.evaluate.evaluate import MAPPINGS, SWEEP_MAPPINGS, WAYS, check_names, evaluate
from caterpillar.evaluate.evaluation import Evaluation
from caterpillar.evaluate.late_reads import late_reads, late_reads_of_run

__all__ = [
    "MAPPINGS",
    "SWEEP_MAPPINGS",
    "WAYS",
    "Evaluation",
    "check_names",
    "evaluate",
    "evaluate_columns",
    "late_reads",
    "late_reads_of_run",
]
