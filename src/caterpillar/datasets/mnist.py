"""The MNIST files shipped in the package, and what they must be to the last bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

from caterpillar.checks import DataError
from caterpillar.datasets.dataset import DatasetInfo

FOLDER = Path(__file__).with_name("mnist")

MNIST = DatasetInfo(
    name="mnist",
    train_images=60_000,
    test_images=10_000,
    image_rows=28,
    image_cols=28,
    classes=10,
    source="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits",
)

SHA256 = {
    "train-images-idx3-ubyte.gz": "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    "train-labels-idx1-ubyte.gz": "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    "t10k-images-idx3-ubyte.gz": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
}


def verify(folder: Path = FOLDER) -> None:
    """Raise DataError unless the folder's four files have the checksums above."""
    for name, expected in SHA256.items():
        path = folder / name
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        if found != expected:
            raise DataError(f"{path} is damaged: its sha256 is {found}, must be {expected}")
