"""What a Program moves, read off its passes: words of stored matrices, of activations and errors, accesses."""

from __future__ import annotations

from caterpillar.program import Backward, DirectBackward, Forward, Op, OutputError, Pass, Program, Tensor, Update


def is_pipelined(program: Program) -> bool:
    """Whether layers work on different batches in the same tick (CP), so that none waits for another."""
    return program.max_lag > 0


def matrix_words(program: Program, tensor: Tensor) -> int:
    """Words of a stored matrix: W_l, its velocity and FA's B_l m_l x n_l; direct feedback's B_l n_l x n_L."""
    if tensor.kind == "feedback" and any(isinstance(op, DirectBackward) for op in program.ops):
        return program.network.sizes[tensor.layer] * program.network.outputs
    return program.network.layers[tensor.layer - 1].weights


def matrices(program: Program) -> list[Tensor]:
    """Every matrix that stays for the whole run, once."""
    touched = (tensor for op in program.ops for tensor in (*op.reads, *op.writes))
    return list(dict.fromkeys(tensor for tensor in touched if not tensor.per_sample))


def activation_words(program: Program) -> int:
    """Most words of activations and errors alive at once in the steady state, for whole batches.

    A tensor lives from the operation that writes it (the input: from its first reader) to its last reader; those may be
    ticks apart, and then several batches' values are alive side by side.
    """
    ops = list(program.ops)
    spans: dict[Tensor, list[tuple[int, int]]] = {}
    for position, op in enumerate(ops):
        for tensor in (*op.reads, *op.writes):
            if tensor.per_sample:
                spans.setdefault(tensor, []).append((op.lag, position))
    sizes = program.network.sizes
    return program.batch * max(
        sum(sizes[tensor.layer] * _alive(min(span), max(span), position) for tensor, span in spans.items())
        for position in range(len(ops))
    )


def _alive(first: tuple[int, int], last: tuple[int, int], position: int) -> int:
    """Batches whose value is alive at a position of the tick: lags g with first <= (g, position) <= last."""
    lowest = first[0] + (position < first[1])
    highest = last[0] - (position > last[1])
    return max(0, highest - lowest + 1)


def accesses(one_pass: Pass) -> tuple[set[Tensor], set[Tensor]]:
    """Matrices that a pass reads and writes, each once however many of its operations use it."""
    reads = {tensor for op in one_pass.ops for tensor in op.reads if not tensor.per_sample}
    writes = {tensor for op in one_pass.ops for tensor in op.writes if not tensor.per_sample}
    return reads, writes


def multiplied(one_pass: Pass) -> set[Tensor]:
    """Matrices that a pass multiplies by (as against one it only updates)."""
    return {t for op in one_pass.ops if not isinstance(op, Update) for t in op.reads if not t.per_sample}


def with_input_error(program: Program) -> tuple[Pass, ...]:
    """The passes of a tick and, besides, the first layer's input error, which no rule needs.

    The paper's times count it. Errors that go back layer by layer take m_1 n_1 MACs for it (a Backward of layer 1,
    through what the other layers use), direct feedback m_1 n_L.
    """
    ops = list(program.ops)
    update = next(op for op in ops if isinstance(op, Update) and op.layer == 1)
    direct = next((op for op in ops if isinstance(op, DirectBackward)), None)
    if direct is not None:
        extra = DirectBackward(layer=0, lag=update.lag, output_layer=direct.output_layer)
        return (*program.passes, Pass(matrix=Tensor("feedback", 0), ops=(extra,)))
    if any(isinstance(op, Backward) and op.through == "feedback" for op in ops):
        back = Backward(layer=1, lag=update.lag, through="feedback")
        return (*program.passes, Pass(matrix=Tensor("feedback", 1), ops=(back,)))
    back = Backward(layer=1, lag=update.lag)
    return tuple(Pass(matrix=p.matrix, ops=(back, *p.ops)) if update in p.ops else p for p in program.passes)


def outputs(program: Program, op: Op) -> int:
    """Words that an operation's product leaves, per sample; an update's stay where they are."""
    sizes = program.network.sizes
    match op:
        case Forward() | DirectBackward():
            return sizes[op.layer]
        case Backward():
            return sizes[op.layer - 1]
        case OutputError() | Update():
            return 0
