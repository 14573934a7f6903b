"""What a training run is: the options given, the run directory's config when resuming, and the defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caterpillar.checks import OutputError, SpecError, UsageError
from caterpillar.cli.options import DEFAULT_NETWORK, DEFAULT_RULE
from caterpillar.network import Network, parse_network
from caterpillar.program import Program
from caterpillar.rules import Rule, parse_rule
from caterpillar.train.run_directory import CONFIG, Config, read_config, refuse_difference, refuse_existing

if TYPE_CHECKING:
    from caterpillar.datasets import Dataset
    from caterpillar.train import Settings

DEFAULTS: Config = {
    "rule": DEFAULT_RULE,
    "batch": 1,
    "momentum": 0.0,
    "remedy": "none",
    "numerics": "fp32",
    "stochastic_rounding": False,
    "seed": 0,
    "samples": 6000,
    "data": "mnist",
    "epochs": 10,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A run as asked for: its config (as in config.json, but for data_sha256) and what follows from it."""

    config: Config
    network: Network
    rule: Rule
    program: Program
    settings: Settings


def read_request(given: Config, *, threads: int, out: Path | None, resume: bool) -> Request:
    """The run that the options ask for. given: the options that were given, by their config names; network as text.

    Resuming takes the run directory's config for options that were not given, and refuses those that differ.
    Raises UsageError, and writes nothing.
    """
    if "network" in given:
        given = {**given, "network": _network_config(parse_network(given["network"]))}
    if resume:
        config = _resumed(given, out)
    else:
        if out is not None:
            refuse_existing(out)
        config = {"network": _network_config(parse_network(DEFAULT_NETWORK)), **DEFAULTS, **given}
    return _request(config, threads)


def load_data(request: Request) -> Dataset:
    """The data set of a run. Raises DataError, and SpecError if the network does not fit it."""
    from caterpillar.datasets import MNIST, load_dataset

    data, network = request.config["data"], request.network
    options = {"samples": request.config["samples"], "seed": request.config["seed"]}
    if data == MNIST.name:
        dataset = load_dataset(**options)
    else:
        dataset = load_dataset(Path(data), **options, classes=network.outputs)
    refuse_misfit(network, dataset)
    return dataset


def refuse_misfit(network: Network, dataset: Dataset) -> None:
    """Raises SpecError if the network does not fit the data set's images or classes."""
    pixels = dataset.test.images.shape[1]
    if network.inputs != pixels:
        raise SpecError(f"--network has {network.inputs} inputs, but an image of {dataset.name} has {pixels} pixels")
    if network.outputs < dataset.classes:
        raise SpecError(f"--network has {network.outputs} outputs, but {dataset.name} has {dataset.classes} classes")


def _resumed(given: Config, out: Path | None) -> Config:
    if out is None:
        raise UsageError("--resume needs --out, the run directory to go on with")
    stored = read_config(out)
    refuse_difference(out, stored, given)
    default: Config = {"network": _network_config(parse_network(DEFAULT_NETWORK)), "learning_rate": 0.01, **DEFAULTS}
    for field, pattern in default.items():
        value: Any = stored.get(field)
        if type(value) is not type(pattern) or (field == "network" and set(value) != set(pattern)):
            raise OutputError(f"{out / CONFIG} is damaged: {field} is {json.dumps(value)}")
    return {**stored, **given}


def _request(config: Config, threads: int) -> Request:
    from caterpillar.train import Settings
    from caterpillar.train.learning_rates import default_learning_rate

    described: dict[str, Any] = config["network"]
    network = Network(sizes=tuple(described["sizes"]), activation=described["activation"])
    rule = parse_rule(config["rule"], batch=config["batch"], momentum=config["momentum"], remedy=config["remedy"])
    config = {"learning_rate": default_learning_rate(network, rule), **config}
    settings = Settings(
        learning_rate=config["learning_rate"],
        seed=config["seed"],
        epochs=config["epochs"],
        numerics=config["numerics"],
        stochastic_rounding=config["stochastic_rounding"],
        threads=threads,
    )
    return Request(config=config, network=network, rule=rule, program=rule(network), settings=settings)


def _network_config(network: Network) -> dict[str, Any]:
    return {"sizes": list(network.sizes), "activation": network.activation}
