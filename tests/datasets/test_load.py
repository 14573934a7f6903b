"""Which images a run trains on, which it holds back, and which files are refused."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import DataError, SpecError
from caterpillar.datasets import MNIST, load_dataset, sample_order
from caterpillar.datasets.mnist import FOLDER, SHA256, verify

RNG = np.random.Generator(np.random.Philox(key=7))  # content of made-up files only
TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


def write_images(path: Path, count: int, rows: int = 4, cols: int = 4) -> np.ndarray:
    values = RNG.integers(0, 256, (count, rows, cols), dtype=np.uint8)
    path.write_bytes(struct.pack(">4I", 0x803, count, rows, cols) + values.tobytes())
    return values


def write_labels(path: Path, labels: list[int]) -> None:
    path.write_bytes(struct.pack(">2I", 0x801, len(labels)) + bytes(labels))


def folder_of(path: Path, *, train: int = 20, test: int = 6) -> Path:
    path.mkdir(exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        write_images(path / f"{part}-images-idx3-ubyte", count)
        write_labels(path / f"{part}-labels-idx1-ubyte", [i % 10 for i in range(count)])
    return path


def test_mnist_as_shipped_in_the_papers_setting():
    data = load_dataset()
    assert (data.name, data.classes) == ("mnist", 10)
    assert [part.images.shape for part in (data.train, data.validation, data.test)] == [
        (6000, 784),
        (5000, 784),
        (10000, 784),
    ]
    assert data.train.images.dtype == np.float32
    assert data.train.labels.dtype == np.int64
    assert (float(data.train.images.min()), float(data.train.images.max())) == (0.0, 1.0)
    assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # the test set's well-known start
    assert np.bincount(data.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_description_of_mnist_is_true():
    data = load_dataset(samples=MNIST.train_images)
    assert len(data.train) == MNIST.train_images
    assert len(data.test) == MNIST.test_images
    assert data.train.images.shape[1] == MNIST.image_rows * MNIST.image_cols
    assert np.unique(data.train.labels).tolist() == list(range(MNIST.classes))


def test_pixels_are_the_nearest_floats_to_bytes_over_255():
    folder_pixels = np.arange(256) / 255
    data = load_dataset(samples=60000)
    values = np.unique(data.train.images)
    assert np.array_equal(values, folder_pixels.astype(np.float32))


@pytest.mark.parametrize(("samples", "held_back"), [(20, 0), (19, 1), (1, 19)])
def test_validation_shrinks_when_few_images_are_left(tmp_path: Path, samples: int, held_back: int):
    data = load_dataset(folder_of(tmp_path / "d"), samples=samples)
    assert (len(data.train), len(data.validation), len(data.test)) == (samples, held_back, 6)


def test_training_and_held_back_images_are_different_ones():
    data = load_dataset(samples=55_500, seed=3)
    order = sample_order(60_000, 3)
    assert len(data.validation) == 4_500
    assert len(np.unique(order)) == 60_000
    whole = load_dataset(samples=60_000, seed=3)
    assert np.array_equal(whole.train.images[55_500:], data.validation.images)
    assert np.array_equal(whole.train.labels[:55_500], data.train.labels)


@given(count=st.integers(1, 500), seed=st.integers(0, 2**63 - 1))
def test_the_order_is_a_permutation_and_a_function_of_the_seed(count: int, seed: int):
    order = sample_order(count, seed)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.array_equal(order, sample_order(count, seed))


def test_the_order_is_pinned():
    """Philox4x64-10 keyed by 0: if this changes, old runs cannot be repeated."""
    assert sample_order(10, 0).tolist() == sorted(range(10), key=[*map(int, _philox_words(0, 10))].__getitem__)
    assert not np.array_equal(sample_order(100, 0), sample_order(100, 1))


def _philox_words(key: int, count: int) -> list[int]:
    """Philox4x64-10 after Salmon et al. 2011, in plain integers; NumPy's counter starts at 1."""
    mask, words = (1 << 64) - 1, []
    for block in range(1, -(-count // 4) + 1):
        c, k = [block, 0, 0, 0], [key & mask, key >> 64]
        for _ in range(10):
            p, q = c[0] * 0xD2E7470EE14C6C93, c[2] * 0xCA5A826395121157
            c = [(q >> 64) ^ c[1] ^ k[0], q & mask, (p >> 64) ^ c[3] ^ k[1], p & mask]
            k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
        words += c
    return words[:count]


def test_zipped_and_plain_files_give_the_same(tmp_path: Path):
    plain = folder_of(tmp_path / "plain")
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    for file in plain.iterdir():
        (zipped / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    a, b = load_dataset(plain, samples=5), load_dataset(zipped, samples=5)
    assert np.array_equal(a.train.images, b.train.images)
    assert np.array_equal(a.test.labels, b.test.labels)


def test_samples_out_of_limits(tmp_path: Path):
    folder = folder_of(tmp_path / "d")
    for samples in (0, 21, -1):
        with pytest.raises(SpecError, match=rf"^Dataset.samples must be an int in \[1, 20\] .*, got {samples}$"):
            load_dataset(folder, samples=samples)
    with pytest.raises(SpecError, match=r"^Dataset.seed must be an int in \[0, 9223372036854775807\], got -1$"):
        load_dataset(folder, seed=-1)


def test_a_missing_folder_and_a_file_in_its_place(tmp_path: Path):
    with pytest.raises(DataError, match=f"^--data folder {tmp_path}/none does not exist; it must hold"):
        load_dataset(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is not a folder"):
        load_dataset(tmp_path / "file")


@pytest.mark.parametrize("name", [TRAIN, "train-labels-idx1-ubyte", TEST, "t10k-labels-idx1-ubyte"])
def test_a_missing_file(tmp_path: Path, name: str):
    folder = folder_of(tmp_path / "d")
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"has no {name} and no {name}.gz$"):
        load_dataset(folder, samples=5)


def test_counts_that_differ(tmp_path: Path):
    folder = folder_of(tmp_path / "d")
    write_labels(folder / "train-labels-idx1-ubyte", [1] * 19)
    with pytest.raises(DataError, match=f"train-labels-idx1-ubyte has 19 labels for the 20 images of {TRAIN}$"):
        load_dataset(folder, samples=5)


def test_a_label_out_of_range(tmp_path: Path):
    folder = folder_of(tmp_path / "d")
    write_labels(folder / "t10k-labels-idx1-ubyte", [1, 2, 10, 3, 4, 5])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: label 10 of image 2 is not in \[0, 9\]$"):
        load_dataset(folder, samples=5)
    assert load_dataset(folder, samples=5, classes=11).classes == 11


def test_images_of_two_sizes(tmp_path: Path):
    folder = folder_of(tmp_path / "d")
    write_images(folder / TEST, 6, rows=5)
    with pytest.raises(DataError, match="training and test images differ in size, 4 x 4 and 5 x 4 pixels"):
        load_dataset(folder, samples=5)


def test_damage_to_the_shipped_files_is_found(tmp_path: Path):
    for name in SHA256:
        shutil.copy(FOLDER / name, tmp_path / name)
    verify(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(labels.read_bytes())
    content[100] ^= 1
    labels.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is damaged: its sha256 is "):
        verify(tmp_path)
