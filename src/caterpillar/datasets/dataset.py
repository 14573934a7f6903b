"""What a data set is: before it is loaded, and once it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """A data set that comes with the package: images of image_rows x image_cols pixels, and where it is from."""

    name: str
    train_images: int
    test_images: int
    image_rows: int
    image_cols: int
    classes: int
    source: str


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

    def sha256(self) -> str:
        """A fingerprint of what a run sees: the training images in their order, and the test images."""
        digest = hashlib.sha256()
        for samples in (self.train, self.test):
            digest.update(f"{samples.images.shape}".encode())
            digest.update(samples.images.data)
            digest.update(samples.labels.data)
        return digest.hexdigest()
