"""caterpillar rules"""

from __future__ import annotations

import inspect

from caterpillar.cli.options import Json


def rules(json: Json = False) -> None:
    """The learning rules."""
    from caterpillar.cli.output import print_json, print_table
    from caterpillar.rules import RULES

    described = [
        {
            "name": name,
            "batched": "batch" in inspect.signature(rule).parameters,
            "summary": (inspect.getdoc(rule) or "").split(".")[0],
        }
        for name, rule in RULES.items()
    ]
    if json:
        print_json({"rules": described})
        return
    print_table(
        "Learning rules", ("name", "takes --batch", "what it does"), [tuple(rule.values()) for rule in described]
    )
