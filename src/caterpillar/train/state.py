"""What training has reached after a whole number of epochs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from caterpillar.checks import SpecError
from caterpillar.numerics import Array, storage_dtype, to_storage
from caterpillar.program import Backward, DirectBackward, Program, Update
from caterpillar.train.random import FEEDBACK, WEIGHTS, uniform, weight_limit
from caterpillar.train.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """Between epochs the pipeline is empty, so weights and velocity are all there is.

    epoch: finished epochs. weights[l - 1]: W_l of shape (inputs, outputs) in the storage format (bfloat16 as uint16
    bits). velocity[l - 1]: the same shape, or empty without momentum. feedback[l - 1]: the fixed random matrix of fa
    (shaped like W_l) or dfa (outputs of layer l x classes), or empty.
    """

    epoch: int
    weights: tuple[Array, ...]
    velocity: tuple[Array, ...]
    feedback: tuple[Array, ...]

    @cached_property
    def weights_sha256(self) -> str:
        """Of the weights in order, row-major, little-endian, in the storage format, with -0 counted as +0."""
        digest = hashlib.sha256()
        for matrix in self.weights:
            bits = np.ascontiguousarray(matrix)
            negative_zero = 0x8000 if bits.dtype == np.uint16 else bits.dtype.type(0)
            digest.update(np.where(bits == negative_zero, bits.dtype.type(0), bits).tobytes())
        return digest.hexdigest()


def initial_state(program: Program, settings: Settings) -> State:
    """Random weights and feedback from the seed (see random.py), zero velocity."""
    network, seed, numerics = program.network, settings.seed, settings.numerics

    def draw(purpose: int, layer: int, shape: tuple[int, int], limit: float) -> Array:
        return to_storage(uniform(seed, purpose, layer, shape, limit), numerics)

    momentum = {op.layer for op in program.ops if isinstance(op, Update) and op.momentum}
    shapes = feedback_shapes(program)
    empty = np.zeros((0, 0), storage_dtype(numerics))
    return State(
        epoch=0,
        weights=tuple(
            draw(WEIGHTS, layer.index, (layer.inputs, layer.outputs), weight_limit(network, layer.index))
            for layer in network.layers
        ),
        velocity=tuple(
            np.zeros((layer.inputs, layer.outputs), empty.dtype) if layer.index in momentum else empty
            for layer in network.layers
        ),
        feedback=tuple(
            draw(FEEDBACK, layer, shape, _feedback_limit(program, layer)) if shape else empty
            for layer, shape in enumerate(shapes, start=1)
        ),
    )


def feedback_shapes(program: Program) -> tuple[tuple[int, int] | None, ...]:
    """Shape of every B_l that the program reads: fa's like W_l, dfa's (outputs of layer l, classes)."""
    sizes, shapes = program.network.sizes, dict[int, tuple[int, int]]()
    for op in program.ops:
        if isinstance(op, DirectBackward):
            shapes[op.layer] = (sizes[op.layer], sizes[op.output_layer])
        elif isinstance(op, Backward) and op.through == "feedback":
            shapes[op.layer] = (sizes[op.layer - 1], sizes[op.layer])
    return tuple(shapes.get(layer) for layer in range(1, program.network.depth + 1))


def _feedback_limit(program: Program, layer: int) -> float:
    """fa: as the weights it stands for. dfa: 1 / sqrt(outputs of layer l), after Nokland 2016."""
    if any(isinstance(op, DirectBackward) and op.layer == layer for op in program.ops):
        return float(program.network.sizes[layer] ** -0.5)
    return weight_limit(program.network, layer)


def check_state(state: State, program: Program, settings: Settings) -> None:
    """Raise SpecError unless the state's shapes and formats are those of the program and settings."""
    expected = matrix_shapes(program)
    for name, shapes in expected.items():
        matrices: tuple[Array, ...] = getattr(state, name)
        if tuple(matrix.shape for matrix in matrices) != shapes:
            raise SpecError(f"State.{name} must have the shapes {shapes}, got {tuple(m.shape for m in matrices)}")
        wrong = [m.dtype for m in matrices if m.dtype != storage_dtype(settings.numerics)]
        if wrong:
            raise SpecError(
                f"State.{name} must be stored in {storage_dtype(settings.numerics)} for {settings.numerics}, "
                f"got {wrong[0]}"
            )


def matrix_shapes(program: Program) -> dict[str, tuple[tuple[int, int], ...]]:
    """The shapes of a program's weights, velocity and feedback; (0, 0) for none."""
    momentum = {op.layer for op in program.ops if isinstance(op, Update) and op.momentum}
    weights = tuple((layer.inputs, layer.outputs) for layer in program.network.layers)
    return {
        "weights": weights,
        "velocity": tuple(s if i in momentum else (0, 0) for i, s in enumerate(weights, start=1)),
        "feedback": tuple(shape or (0, 0) for shape in feedback_shapes(program)),
    }
