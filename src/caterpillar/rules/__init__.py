"""One file per learning rule; each is a function to a Rule, which turns a network into a Program."""

from caterpillar.rules.continuous_propagation import Remedy, cp, mbcp
from caterpillar.rules.direct_feedback import dfa
from caterpillar.rules.feedback_alignment import fa
from caterpillar.rules.gradient_descent import mbgd, sgd
from caterpillar.rules.parse import RULES, parse_rule
from caterpillar.rules.rule import Rule

__all__ = ["RULES", "Remedy", "Rule", "cp", "dfa", "fa", "mbcp", "mbgd", "parse_rule", "sgd"]
