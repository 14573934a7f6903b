"""The commands in one application, and the one place where errors become a line and an exit status."""

from __future__ import annotations

import os
import sys

import typer

from caterpillar.checks import CaterpillarError
from caterpillar.cli import cost, datasets, estimate, explore, machines, networks, reproduce, rules, simulate, train

# What a description's field is called on the command line, where its value comes from there and not from a file.
OPTIONS = {
    "Rule.batch": "--batch",
    "Rule.momentum": "--momentum",
    "Settings.learning_rate": "--lr",
    "Settings.epochs": "--epochs",
    "Settings.seed": "--seed",
    "Settings.numerics": "--numerics",
    "Settings.threads": "--threads",
    "Settings.stochastic_rounding": "--stochastic-rounding",
    "Dataset.samples": "--samples",
    "Dataset.seed": "--seed",
    "samples": "--samples",
    "volts": "--volts",
}
SWEEPS = "explore"  # the command that has these fields from a file
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

app = typer.Typer(
    name="caterpillar",
    help="A laboratory for accelerators that train neural networks: convergence, cycles, energy and area in one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("estimate")(estimate.estimate)
app.command("simulate")(simulate.simulate)
app.command("cost")(cost.cost)
app.command("explore")(explore.explore)
app.command("reproduce")(reproduce.reproduce)
app.command("machines")(machines.machines)
app.command("rules")(rules.rules)
app.command("networks")(networks.networks)
app.command("datasets")(datasets.datasets)


def run(arguments: list[str] | None) -> int:
    """Run a command line; see main."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = app(given, prog_name="caterpillar", standalone_mode=False)
    except CaterpillarError as error:
        return _fail(str(error) if given[:1] == [SWEEPS] else _with_option(str(error)), error.exit_status)
    except typer.TyperException as error:  # the command line itself: an unknown option, a value of the wrong type
        return _fail(error.format_message() or "a command is missing; see caterpillar --help", 2)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has left, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if status == INTERRUPTED:  # typer's word for an interrupt
        return _fail("interrupted", INTERRUPTED)
    return status if isinstance(status, int) else 0


def _with_option(message: str) -> str:
    """The message, with the option in the place of the field that it begins with."""
    field, space, rest = message.partition(" ")
    return OPTIONS.get(field, field) + space + rest


def _fail(message: str, status: int) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return status
