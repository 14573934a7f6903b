"""What a data set is, once loaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """images: float32 of shape (n, inputs), in [0, 1]; labels: int64 of shape (n,), in [0, classes)."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Samples to train on, training samples held back (to choose learning rates on), and samples to report on."""

    name: str
    classes: int
    train: Samples
    validation: Samples
    test: Samples
