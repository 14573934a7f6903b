"""Rules by name, for the command line: the public list."""

from __future__ import annotations

from collections.abc import Callable

from caterpillar.checks import UsageError
from caterpillar.rules.continuous_propagation import Remedy, cp, mbcp
from caterpillar.rules.direct_feedback import dfa
from caterpillar.rules.feedback_alignment import fa
from caterpillar.rules.gradient_descent import mbgd, sgd
from caterpillar.rules.rule import Rule

RULES: dict[str, Callable[..., Rule]] = {"sgd": sgd, "mbgd": mbgd, "fa": fa, "dfa": dfa, "cp": cp, "mbcp": mbcp}
ONE_SAMPLE = ("sgd", "cp")
REMEDIES: tuple[Remedy, ...] = ("none", "spike", "prediction")


def parse_rule(name: str, *, batch: int = 1, momentum: float = 0.0, remedy: Remedy = "none") -> Rule:
    """A rule by its name, with its batch: parse_rule("dfa", batch=8).

    Raises UsageError for an unknown name, for a batch that sgd or cp cannot have (mbgd and mbcp are theirs), and
    for a staleness remedy outside CP or without momentum.
    """
    if name not in RULES:
        raise UsageError(f"--rule must be one of {', '.join(RULES)}, got {name!r}")
    if name in ONE_SAMPLE and batch != 1:
        batched = {"sgd": "mbgd", "cp": "mbcp"}[name]
        raise UsageError(f"--batch must be 1 for {name} (the batched rule is {batched}), got {batch}")
    if remedy not in REMEDIES:
        raise UsageError(f"--remedy must be one of {', '.join(REMEDIES)}, got {remedy!r}")
    if remedy != "none" and (name not in ("cp", "mbcp") or not momentum):
        raise UsageError(f"--remedy {remedy} needs --rule cp or mbcp, and --momentum above 0; got {name}, {momentum}")
    options: dict[str, object] = {"momentum": momentum}
    if name not in ONE_SAMPLE:
        options["batch"] = batch
    if remedy != "none":
        options["remedy"] = remedy
    return RULES[name](**options)
