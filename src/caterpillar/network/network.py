"""Multi-layer perceptrons: sizes and activations, nothing of how they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

from caterpillar.checks import Choice, Limit, SpecError, check

Activation = Literal["relu", "tanh", "sigmoid"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)

SIZE = Limit("sizes", int, 1, 65536, "neurons")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Layer l = index: a_l = h_(l-1) W_l with W_l of shape (inputs, outputs); index counts from 1."""

    index: int
    inputs: int
    outputs: int

    @property
    def weights(self) -> int:
        """Words in W_l, and MACs of one GEMV with it."""
        return self.inputs * self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A multi-layer perceptron; hidden layers share one activation, the output is softmax with cross-entropy.

    sizes: neurons of the input and then of each layer, e.g. (784, 500, 500, 500, 10).
    No bias weights: the paper's counts have none (docs/decisions/0002-no-bias.md).
    """

    sizes: tuple[int, ...]
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or len(self.sizes) > 64:
            raise SpecError(f"Network.sizes must have 2 to 64 entries (input first), got {len(self.sizes)}")
        for size in self.sizes:
            SIZE.check("Network", size)
        check(self, [Choice("activation", ACTIVATIONS)])

    @classmethod
    def mlp(cls, *sizes: int, activation: Activation = "relu") -> Network:
        """Network.mlp(784, 500, 500, 500, 10): the input's size first, then each layer's."""
        return cls(sizes=sizes, activation=activation)

    @property
    def depth(self) -> int:
        """L, the number of weight layers."""
        return len(self.sizes) - 1

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers 1..L in order; layers[l - 1] is layer l."""
        return _layers(self.sizes)

    @property
    def weights(self) -> int:
        """Words in all weight matrices: sum(m n)."""
        return sum(layer.weights for layer in self.layers)

    @property
    def inputs(self) -> int:
        """Words of one sample."""
        return self.sizes[0]

    @property
    def outputs(self) -> int:
        """Classes."""
        return self.sizes[-1]

    @property
    def name(self) -> str:
        """The field's shorthand: sizes after the input, joined with dashes, e.g. 500-500-500-10."""
        return "-".join(str(size) for size in self.sizes[1:])


@lru_cache(maxsize=1024)
def _layers(sizes: tuple[int, ...]) -> tuple[Layer, ...]:
    pairs = pairwise(sizes)
    return tuple(Layer(index=i, inputs=m, outputs=n) for i, (m, n) in enumerate(pairs, start=1))
