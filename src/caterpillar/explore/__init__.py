"""Sweeps over networks, rules and machines: every point evaluated, infeasible ones kept, the Pareto front marked."""

from caterpillar.explore.confirm import Confirmation, confirm
from caterpillar.explore.explore import Exploration, explore
from caterpillar.explore.pareto import pareto_front
from caterpillar.explore.plan import Plan, plan_sweep
from caterpillar.explore.points import MACHINE_FIELDS, paper_points
from caterpillar.explore.quantities import QUANTITIES
from caterpillar.explore.query import read_best, read_objectives, read_provenance, read_results, read_swept
from caterpillar.explore.sweep import Sweep, read_sweep
from caterpillar.explore.work import Epochs

__all__ = [
    "MACHINE_FIELDS",
    "QUANTITIES",
    "Confirmation",
    "Epochs",
    "Exploration",
    "Plan",
    "Sweep",
    "confirm",
    "explore",
    "paper_points",
    "pareto_front",
    "plan_sweep",
    "read_best",
    "read_objectives",
    "read_provenance",
    "read_results",
    "read_sweep",
    "read_swept",
]
