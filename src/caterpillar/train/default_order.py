"""The order of sums that the fast kernels follow."""

from __future__ import annotations

from caterpillar.numerics import GemvOrder, Order
from caterpillar.program import DirectBackward, Program
from caterpillar.train.state import feedback_shapes

LANES = 16  # numbers in a vector register; storage is padded to it


def padded(count: int) -> int:
    """count rounded up to whole vectors."""
    return -(-count // LANES) * LANES


def default_bounds(outputs: int) -> tuple[int, ...]:
    """Two panels, so that two threads give the bits of one; the first is whole vectors."""
    cut = padded(-(-outputs // 2))
    return (0, cut, outputs) if cut < outputs else (0, outputs)


def default_order(program: Program) -> Order:
    """Forward: one partial sum an output. Backward: sixteen in each of two panels, combined by halving.

    dfa's feedback is one panel: the threads share its rows, and its columns are few.
    """

    def matrix(outputs: int, *, whole: bool = False) -> GemvOrder:
        bounds = (0, outputs) if whole else default_bounds(outputs)
        return GemvOrder(bounds=bounds, backward_lanes=LANES, backward_combine="tree")

    network = program.network
    direct = {op.layer for op in program.ops if isinstance(op, DirectBackward)}
    return Order(
        layers=tuple(matrix(layer.outputs) for layer in network.layers),
        feedback=tuple(
            matrix(shape[1], whole=layer in direct) if shape else None
            for layer, shape in enumerate(feedback_shapes(program), start=1)
        ),
    )
