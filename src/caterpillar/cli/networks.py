"""caterpillar networks"""

from __future__ import annotations

from caterpillar.cli.options import Json


def networks(json: Json = False) -> None:
    """The networks of the paper. Any other is a list of sizes (300-10) or a TOML file: --network my.toml."""
    from caterpillar.cli.output import print_json, print_table
    from caterpillar.network import PAPER_NETWORKS

    if json:
        described = [
            {
                "name": name,
                "sizes": list(network.sizes),
                "activation": network.activation,
                "layers": network.depth,
                "weights": network.weights,
            }
            for name, network in PAPER_NETWORKS.items()
        ]
        print_json({"networks": described})
        return
    rows = [(name, n.inputs, n.depth, n.activation, n.weights) for name, n in PAPER_NETWORKS.items()]
    print_table("Networks", ("name", "inputs", "layers", "activation", "weights, words"), rows)
