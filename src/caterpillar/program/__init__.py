"""The Program: one tick of a learning rule, read by trainer, mapping, estimate, simulator and RTL alike."""

from caterpillar.program.ops import Backward, DirectBackward, Forward, Op, OutputError, Tensor, TensorKind, Update
from caterpillar.program.program import Pass, Program

__all__ = [
    "Backward",
    "DirectBackward",
    "Forward",
    "Op",
    "OutputError",
    "Pass",
    "Program",
    "Tensor",
    "TensorKind",
    "Update",
]
