"""Options that commands share, each worded once. In the Given kinds None stands for not given (see request.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_NETWORK = "500-500-500-10"
DEFAULT_RULE = "sgd"


def whole(text: str) -> int:
    """A whole number, as typer's parser."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"must be a whole number, got {text!r}") from None


def number(text: str) -> float:
    """A number, as typer's parser."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number, got {text!r}") from None


_NETWORK = typer.Option(
    help=f"Layer sizes after 784 inputs, joined with dashes, or a TOML file. Default: {DEFAULT_NETWORK}.",
    metavar="NETWORK",
    show_default=False,
)
_RULE = typer.Option(
    help=f"sgd, mbgd, fa, dfa, cp or mbcp. Default: {DEFAULT_RULE}.", metavar="RULE", show_default=False
)
_BATCH = typer.Option(
    help="Samples in a batch; 1 for sgd and cp. Default: 1.", metavar="N", parser=whole, show_default=False
)
_MOMENTUM = typer.Option(help="Momentum. Default: 0, none.", metavar="M", parser=number, show_default=False)
_REMEDY = "Against CP's staleness, with --momentum: none, spike or prediction. Default: none."
_NUMERICS = "The arithmetic."

Network = Annotated[str, _NETWORK]
Rule = Annotated[str, _RULE]
Batch = Annotated[int, _BATCH]
Momentum = Annotated[float, _MOMENTUM]
Machine = Annotated[str, typer.Option(help="A preset (see caterpillar machines) or a TOML file.", metavar="MACHINE")]
_MAPPING = "How the work is placed on the machine: paper or best."
Mapping = Annotated[str, typer.Option(help=_MAPPING, metavar="MAPPING")]
GivenMapping = Annotated[
    str | None, typer.Option("--mapping", help=f"{_MAPPING} Default: paper.", metavar="MAPPING", show_default=False)
]
Prices = Annotated[
    str, typer.Option(help="What an event costs: paper, horowitz, cacti, or a TOML file.", metavar="PRICES")
]
MachineNumerics = Annotated[str, typer.Option("--numerics", help=_NUMERICS, metavar="NUMERICS")]

Volts = Annotated[
    float | None,
    typer.Option(
        help="Supply of the logic, 0.7 to 1.1, with --prices cacti.",
        metavar="V",
        parser=number,
        show_default="by node, 0.9 at 45 nm",
    ),
]
Sensitivity = Annotated[
    bool, typer.Option("--sensitivity", help="Which price's range moves the energy most, the others as they are.")
]

GivenNetwork = Annotated[str | None, _NETWORK]
GivenRule = Annotated[str | None, _RULE]
GivenBatch = Annotated[int | None, _BATCH]
GivenMomentum = Annotated[float | None, _MOMENTUM]
GivenRemedy = Annotated[str | None, typer.Option(help=_REMEDY, metavar="REMEDY")]
GivenStochastic = Annotated[
    bool | None,
    typer.Option("--stochastic-rounding", help="Round weight updates at random; 16-bit numerics only."),
]
GivenNumerics = Annotated[
    str | None, typer.Option("--numerics", help=f"{_NUMERICS} Default: fp32.", metavar="NUMERICS")
]
GivenSeed = Annotated[
    int | None, typer.Option(help="Draws images, weights and feedback. Default: 0.", metavar="N", parser=whole)
]
GivenSamples = Annotated[
    int | None, typer.Option(help="Training images an epoch. Default: 6000.", metavar="N", parser=whole)
]
GivenData = Annotated[str | None, typer.Option(help="mnist, or a folder of IDX files. Default: mnist.", metavar="DATA")]
GivenLearningRate = Annotated[
    float | None,
    typer.Option("--lr", help="Learning rate. Default: what a search found.", metavar="RATE", parser=number),
]
GivenEpochs = Annotated[
    int | None, typer.Option(help="Times through the training images. Default: 10.", metavar="N", parser=whole)
]
Threads = Annotated[int, typer.Option(help="Threads; the result is the same for any.", metavar="N", parser=whole)]

Out = Annotated[Path | None, typer.Option(help="The folder to write to.", metavar="DIR")]
OutFolder = Annotated[Path, typer.Option(help="The folder to write to.", metavar="DIR")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out after its last finished epoch.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
