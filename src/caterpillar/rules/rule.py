"""What every rule is: a name, a batch, and a function from a network to the passes of a tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from caterpillar.checks import Limit, check
from caterpillar.network import Network
from caterpillar.program import Forward, Op, OutputError, Pass, Program, Tensor

LIMITS = (
    Limit("batch", int, 1, 65536, "samples"),
    Limit("momentum", float, 0.0, 0.9999),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A learning rule; calling it with a network gives the Program of one tick."""

    name: str
    batch: int = 1
    momentum: float = 0.0
    passes: Callable[[Network], tuple[Pass, ...]]

    def __post_init__(self) -> None:
        check(self, LIMITS)

    def __call__(self, network: Network) -> Program:
        return Program(rule=self.label, network=network, batch=self.batch, passes=self.passes(network))

    @property
    def label(self) -> str:
        """The name with its batch, as in the paper's legends: sgd, cp, mbgd50, dfa8."""
        return self.name if self.batch == 1 else f"{self.name}{self.batch}"


def weight_pass(layer: int, *ops: Op) -> Pass:
    """Operations that share one read of W_l."""
    return Pass(matrix=Tensor("weight", layer), ops=ops)


def forward_passes(network: Network) -> tuple[Pass, ...]:
    """All layers forward, then the output error, in one tick: the first half of every rule but CP."""
    layers = tuple(weight_pass(layer.index, Forward(layer=layer.index, lag=0)) for layer in network.layers)
    return (*layers, Pass(matrix=None, ops=(OutputError(layer=network.depth, lag=0),)))
