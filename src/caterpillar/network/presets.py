"""The paper's four networks, and networks by shorthand or TOML file."""

from __future__ import annotations

from pathlib import Path

from caterpillar.checks import SpecError, UsageError, read_toml, refuse_unknown_keys
from caterpillar.network.network import Network

MNIST_INPUTS = 784

# Li and Pedram 2017, section V: hidden and output sizes; 784 pixels come before them.
PAPER_NETWORKS: dict[str, Network] = {
    name: Network.mlp(MNIST_INPUTS, *(int(size) for size in name.split("-")))
    for name in (
        "500-500-500-10",
        "500-500-500-500-10",
        "500-500-500-500-500-10",
        "2500-2000-1500-1000-500-10",
    )
}


def parse_network(text: str) -> Network:
    """A network from a layer list (784 inputs come before it) or from a TOML file.

    "500-500-500-10" -> Network.mlp(784, 500, 500, 500, 10). A TOML file holds `sizes` (input first) and,
    if not ReLU, `activation`. Raises UsageError that names the text and what is allowed.
    """
    if text.endswith(".toml"):
        return _from_toml(Path(text))
    parts = text.split("-")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(
            f"--network must be layer sizes joined with dashes, such as 500-500-500-10, or a .toml file, got {text!r}"
        )
    return Network.mlp(MNIST_INPUTS, *(int(part) for part in parts))


def _from_toml(path: Path) -> Network:
    table = read_toml(path, "--network")
    refuse_unknown_keys(table, ("sizes", "activation"), path)
    sizes = table.get("sizes")
    if not isinstance(sizes, list):
        raise SpecError(f"{path}: sizes must be a list of neurons, input first, got {sizes!r}")
    return Network(sizes=tuple(sizes), activation=table.get("activation", "relu"))
