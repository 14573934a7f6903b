"""Sweeps over networks, rules and machines: every point evaluated, infeasible ones kept, the Pareto front marked."""

from caterpillar.explore.explore import Exploration, explore
from caterpillar.explore.pareto import pareto_front
from caterpillar.explore.plan import Plan, plan_sweep
from caterpillar.explore.quantities import QUANTITIES
from caterpillar.explore.query import read_results
from caterpillar.explore.sweep import Sweep, read_sweep

__all__ = [
    "QUANTITIES",
    "Exploration",
    "Plan",
    "Sweep",
    "explore",
    "pareto_front",
    "plan_sweep",
    "read_results",
    "read_sweep",
]
