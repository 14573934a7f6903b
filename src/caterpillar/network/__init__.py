"""Networks as frozen descriptions."""

from caterpillar.network.network import ACTIVATIONS, Activation, Layer, Network
from caterpillar.network.presets import MNIST_INPUTS, PAPER_NETWORKS, parse_network

__all__ = ["ACTIVATIONS", "MNIST_INPUTS", "PAPER_NETWORKS", "Activation", "Layer", "Network", "parse_network"]
