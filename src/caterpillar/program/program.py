"""A Program: the operations of one tick, grouped into passes that read a matrix once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from caterpillar.checks import Limit, SpecError, check
from caterpillar.network import Network
from caterpillar.program.ops import Backward, DirectBackward, Forward, Op, OutputError, Tensor, Update

LIMITS = (Limit("batch", int, 1, 65536, "samples"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Operations that share one read of the stored matrix; an Update in it adds one write.

    Operations of a pass see the matrix in their order: what stands before the Update sees it as read, what
    stands after it sees it as written. matrix is None where no stored matrix takes part (OutputError).
    """

    matrix: Tensor | None
    ops: tuple[Op, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """One tick of a learning rule on a network, for a batch of samples.

    At tick t the passes run in order. An operation with lag g works on batch t - g, and does nothing while that is
    negative or past the last batch (fill and drain). So n batches take n + max_lag ticks.
    Raises SpecError where an operation reads what no earlier one has written.
    """

    rule: str
    network: Network
    batch: int
    passes: tuple[Pass, ...]

    def __post_init__(self) -> None:
        check(self, LIMITS)
        _check_matrices(self)
        _check_flow(self)

    @property
    def rule_and_batch(self) -> str:
        """The rule's name as a sentence has it: cp, or mbgd with batch 50."""
        return self.rule if self.batch == 1 else f"{self.rule.removesuffix(str(self.batch))} with batch {self.batch}"

    @property
    def ops(self) -> Iterator[Op]:
        """All operations in the order of a tick."""
        return (op for weight_pass in self.passes for op in weight_pass.ops)

    @cached_property
    def max_lag(self) -> int:
        """Ticks between a batch's entry and its last operation."""
        return max(op.lag for op in self.ops)

    def ticks(self, samples: int) -> int:
        """Ticks that samples take, fill and drain included; a last partial batch counts as one."""
        return -(-samples // self.batch) + self.max_lag

    def slots(self, tensor: Tensor) -> int:
        """Batches whose value of a per-sample tensor is alive at once: the length of its FIFO."""
        lags = [op.lag for op in self.ops if tensor in op.reads or tensor in op.writes]
        return max(lags) - min(lags) + 1 if lags else 0

    def macs(self, op: Op) -> int:
        """Useful MACs of one operation for one sample: the words of its matrix; none for OutputError."""
        match op:
            case Forward() | Backward() | Update():
                return self.network.layers[op.layer - 1].weights
            case DirectBackward():
                return self.network.sizes[op.layer] * self.network.outputs
            case OutputError():
                return 0

    @cached_property
    def macs_per_sample(self) -> int:
        """Useful MACs a sample. The first layer's input error is no operation, so it is not counted."""
        return sum(self.macs(op) for op in self.ops)

    def staleness(self, layer: int) -> int:
        """Updates a layer's weights get between a sample's forward and its update (docs: 2(L - l) for CP)."""
        forward = next(op.lag for op in self.ops if isinstance(op, Forward) and op.layer == layer)
        position = [op for op in self.ops if isinstance(op, Forward | Update) and op.layer == layer]
        update = next(op for op in position if isinstance(op, Update))
        update_comes_first = isinstance(position[0], Update)
        return update.lag - forward - (1 if update_comes_first else 0)


def _check_matrices(program: Program) -> None:
    depth = program.network.depth
    for weight_pass in program.passes:
        for op in weight_pass.ops:
            if not 1 <= op.layer <= depth or op.lag < 0:
                raise SpecError(f"Program.passes: {op} must have a layer in [1, {depth}] and a lag >= 0")
            if isinstance(op, OutputError):
                continue
            if weight_pass.matrix not in op.reads:
                raise SpecError(f"Program.passes: {op} does not read the matrix of its pass, {weight_pass.matrix}")


def _check_flow(program: Program) -> None:
    """Every per-sample tensor has one writer, and each reader comes after it, in lag or in order."""
    written: dict[Tensor, tuple[int, int]] = {Tensor("activation", 0): (0, -1)}
    for position, op in enumerate(program.ops):
        for tensor in op.writes:
            if tensor.per_sample and tensor in written:
                raise SpecError(f"Program.passes: {tensor} is written twice, again by {op}")
            written[tensor] = (op.lag, position)
    for position, op in enumerate(program.ops):
        for tensor in op.reads:
            if tensor.per_sample and not (tensor in written and written[tensor] < (op.lag, position)):
                raise SpecError(f"Program.passes: {op} reads {tensor} before anything has written it")
