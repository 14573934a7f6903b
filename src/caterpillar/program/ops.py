"""The operations of a tick. Each says its layer, its lag, and the tensors it reads and writes.

Symbols, for layer l = 1..L with W_l of shape (m_l, n_l); activation 0 is the input:
h_l activations (n_l), d_l errors with respect to a_l (n_l), W_l weights, B_l fixed feedback, v_l velocity (momentum).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TensorKind = Literal["activation", "error", "weight", "feedback", "velocity"]
PER_SAMPLE: tuple[TensorKind, ...] = ("activation", "error")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor: activation 0 is the input, error l belongs to layer l's outputs."""

    kind: TensorKind
    layer: int

    @property
    def per_sample(self) -> bool:
        """Whether every batch has its own value (kept in a FIFO), rather than one value for the whole run."""
        return self.kind in PER_SAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """h_l = f(h_(l-1) W_l); the last layer's f is softmax. lookahead D: with W_l - lr D v_l in place of W_l."""

    layer: int
    lag: int
    lookahead: int = 0

    @property
    def reads(self) -> tuple[Tensor, ...]:
        velocity = (Tensor("velocity", self.layer),) if self.lookahead else ()
        return (Tensor("activation", self.layer - 1), Tensor("weight", self.layer), *velocity)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        return (Tensor("activation", self.layer),)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputError:
    """d_L = h_L - y, the gradient of cross-entropy behind softmax; y is the sample's one-hot label."""

    layer: int
    lag: int

    @property
    def reads(self) -> tuple[Tensor, ...]:
        return (Tensor("activation", self.layer),)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        return (Tensor("error", self.layer),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward:
    """d_(l-1) = (d_l M^T) * f'(h_(l-1)), M = W_l (through weight) or the fixed B_l (through feedback)."""

    layer: int
    lag: int
    through: Literal["weight", "feedback"] = "weight"

    @property
    def reads(self) -> tuple[Tensor, ...]:
        matrix = Tensor(self.through, self.layer)
        return (Tensor("error", self.layer), Tensor("activation", self.layer - 1), matrix)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        return (Tensor("error", self.layer - 1),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectBackward:
    """d_l = (d_L B_l^T) * f'(h_l), B_l of shape (n_l, n_L); the network's output error goes straight to layer l."""

    layer: int
    lag: int
    output_layer: int

    @property
    def reads(self) -> tuple[Tensor, ...]:
        return (
            Tensor("error", self.output_layer),
            Tensor("activation", self.layer),
            Tensor("feedback", self.layer),
        )

    @property
    def writes(self) -> tuple[Tensor, ...]:
        return (Tensor("error", self.layer),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """W_l <- W_l - lr g, g = mean over the batch of h_(l-1)^T d_l.

    With momentum m: v_l <- m v_l + g, then W_l <- W_l - lr (velocity_scale v_l + gradient_scale g); the scales
    1 and 0 are plain momentum (as PyTorch's SGD), others are spike compensation (Kosson et al. 2020).
    """

    layer: int
    lag: int
    momentum: float = 0.0
    velocity_scale: float = 1.0
    gradient_scale: float = 0.0

    @property
    def reads(self) -> tuple[Tensor, ...]:
        velocity = (Tensor("velocity", self.layer),) if self.momentum else ()
        return (
            Tensor("activation", self.layer - 1),
            Tensor("error", self.layer),
            Tensor("weight", self.layer),
            *velocity,
        )

    @property
    def writes(self) -> tuple[Tensor, ...]:
        velocity = (Tensor("velocity", self.layer),) if self.momentum else ()
        return (Tensor("weight", self.layer), *velocity)


Op = Forward | OutputError | Backward | DirectBackward | Update
