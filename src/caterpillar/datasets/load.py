"""Loading: which images a run trains on, which are held back, and which it is judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import DataError, Limit
from caterpillar.datasets import mnist
from caterpillar.datasets.dataset import Dataset, Samples
from caterpillar.datasets.idx import read_images, read_labels

PAPER_SAMPLES = 6_000  # training images an epoch, derived from Li and Pedram 2017
VALIDATION_SAMPLES = 5_000
SEED = Limit("seed", int, 0, (1 << 63) - 1)

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


def load_dataset(
    folder: Path | None = None, *, samples: int = PAPER_SAMPLES, seed: int = 0, classes: int = mnist.MNIST.classes
) -> Dataset:
    """MNIST as shipped (folder None), or a folder of IDX files under MNIST's names, gzipped or not.

    The seed puts the training images in an order. The first `samples` of it are for training; the next 5,000, or
    as many as are left (none if samples is all of them), are held back for validation; all test images are for
    the test. A folder's labels must be below classes.

    Raises SpecError for samples and seed out of limits, DataError for files that are not what they should be.
    """
    SEED.check("Dataset", seed)
    if folder is None:
        mnist.verify()
        name, source, classes = mnist.MNIST.name, mnist.FOLDER, mnist.MNIST.classes
    else:
        name, source = str(folder), _folder(folder)
    images, labels = _pair(source, "train", classes)
    test_images, test_labels = _pair(source, "t10k", classes)
    if test_images.shape[1:] != images.shape[1:]:
        sizes = " and ".join(f"{rows} x {cols}" for _, rows, cols in (images.shape, test_images.shape))
        raise DataError(f"{source}: training and test images differ in size, {sizes} pixels")
    Limit("samples", int, 1, len(images), "training images").check("Dataset", samples)
    order = sample_order(len(images), seed)
    chosen, held_back = order[:samples], order[samples : samples + VALIDATION_SAMPLES]
    return Dataset(
        name=name,
        classes=classes,
        train=_samples(images[chosen], labels[chosen]),
        validation=_samples(images[held_back], labels[held_back]),
        test=_samples(test_images, test_labels),
    )


def sample_order(count: int, seed: int) -> NDArray[np.int64]:
    """A random order of count images: the indices, sorted by the raw 64-bit words of Philox4x64-10 keyed by seed.

    Raw words and a stable sort, because NumPy keeps only raw streams the same from version to version.
    """
    words = np.random.Philox(key=seed).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)


def _folder(folder: Path) -> Path:
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"--data folder {folder} {what}; it must hold MNIST's four IDX files, or leave --data out")
    return folder


def _pair(folder: Path, part: str, classes: int) -> tuple[Images, Labels]:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise DataError(f"{labels_path} has {len(labels)} labels for the {len(images)} images of {images_path.name}")
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        first = int(wrong[0])
        raise DataError(f"{labels_path}: label {labels[first]} of image {first} is not in [0, {classes - 1}]")
    return images, labels


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise DataError(f"--data folder {folder} has no {name} and no {name}.gz")


def _samples(images: Images, labels: Labels) -> Samples:
    pixels = images.reshape(len(images), images.shape[1] * images.shape[2])
    return Samples(images=pixels.astype(np.float32) / np.float32(255), labels=labels.astype(np.int64))
