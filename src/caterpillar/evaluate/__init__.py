"""The one entry point: network, rule and machine in, an Evaluation or what does not fit out."""

from caterpillar.evaluate.evaluate import MAPPINGS, evaluate
from caterpillar.evaluate.evaluation import Evaluation

__all__ = ["MAPPINGS", "Evaluation", "evaluate"]
