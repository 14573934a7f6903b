"""The order of sums that the fast kernels follow, and the check of an order given from outside."""

from __future__ import annotations

from itertools import pairwise

from caterpillar.checks import SpecError
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


def check_order(order: Order, program: Program) -> None:
    """Raise SpecError unless the order is one of this program's matrices."""
    layers, feedback = program.network.layers, feedback_shapes(program)
    if len(order.layers) != len(layers) or len(order.feedback) != len(feedback):
        found = (len(order.layers), len(order.feedback))
        raise SpecError(f"Order must have an entry for each of the {len(layers)} layers, got {found[0]} and {found[1]}")
    for layer, gemv in zip(layers, order.layers, strict=True):
        _check_gemv(gemv, (layer.inputs, layer.outputs), f"Order.layers[{layer.index - 1}]")
    for index, (gemv, shape) in enumerate(zip(order.feedback, feedback, strict=True)):
        if shape and gemv is None:
            raise SpecError(f"Order.feedback[{index}] must be given, for the rule reads that feedback matrix")
        if shape and gemv:
            _check_gemv(gemv, shape, f"Order.feedback[{index}]")


def _check_gemv(gemv: GemvOrder, shape: tuple[int, int], name: str) -> None:
    inputs, outputs = shape
    panels = len(gemv.bounds) - 1
    _check_bounds(gemv.bounds, outputs, f"{name}.bounds")
    if gemv.input_bounds is not None:
        _check_bounds(gemv.input_bounds, inputs, f"{name}.input_bounds")
    for field, sums, lanes, count in (
        ("forward_sums", gemv.forward_sums, gemv.forward_lanes, inputs),
        ("backward_sums", gemv.backward_sums, gemv.backward_lanes, outputs),
    ):
        if sums is not None and (len(sums) != count or not all(0 <= one < lanes for one in sums)):
            raise SpecError(f"{name}.{field} must be {count} ints in [0, {lanes - 1}], got {sums}")
    if gemv.block_lanes is not None and gemv.forward_first is not None:
        raise SpecError(f"{name}.forward_first must be None where block_lanes is given, got {gemv.forward_first}")
    lanes = {"forward_lanes": gemv.forward_lanes, "backward_lanes": gemv.backward_lanes}
    if gemv.block_lanes is not None:
        lanes["block_lanes"] = gemv.block_lanes
    for field, count in lanes.items():
        if not 1 <= count <= 65536:
            raise SpecError(f"{name}.{field} must be an int in [1, 65536], got {count!r}")
    starts = (
        ("forward_first", gemv.forward_first, panels, inputs),
        ("backward_first", gemv.backward_first, inputs, panels),
    )
    for field, first, count, limit in starts:
        if first is not None and (len(first) != count or not all(0 <= value < limit for value in first)):
            raise SpecError(f"{name}.{field} must be {count} ints in [0, {limit - 1}], got {first}")


def _check_bounds(edges: tuple[int, ...], last: int, name: str) -> None:
    """From 0 to last; a panel or block may be empty, as for a core that holds no outputs."""
    if len(edges) < 2 or edges[0] != 0 or edges[-1] != last or any(low > high for low, high in pairwise(edges)):
        raise SpecError(f"{name} must rise from 0 to {last}, got {edges}")
