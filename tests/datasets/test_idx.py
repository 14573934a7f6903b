"""IDX files: what is written comes back, and what is wrong is refused by name and reason."""

import gzip
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from caterpillar.checks import DataError
from caterpillar.datasets.idx import read_images, read_labels


def idx_bytes(values: np.ndarray) -> bytes:
    """IDX as its public description says: 0, 0, type, dimensions, sizes, values."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([3, 1, 4, 1, 5], dtype=np.uint8)


@given(values=arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=6)), zipped=st.booleans())
def test_images_come_back_as_written(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, zipped: bool):
    path = tmp_path_factory.mktemp("idx") / "images"
    path.write_bytes(gzip.compress(idx_bytes(values)) if zipped else idx_bytes(values))
    read = read_images(path)
    assert read.dtype == np.uint8
    assert np.array_equal(read, values)


@given(values=arrays(np.uint8, st.integers(1, 50)))
def test_labels_come_back_as_written(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray):
    path = tmp_path_factory.mktemp("idx") / "labels"
    path.write_bytes(idx_bytes(values))
    assert np.array_equal(read_labels(path), values)


@given(cut=st.integers(0, len(idx_bytes(IMAGES)) - 1), zipped=st.booleans())
def test_every_truncation_is_refused_by_name(tmp_path_factory: pytest.TempPathFactory, cut: int, zipped: bool):
    path = tmp_path_factory.mktemp("idx") / "images"
    content = idx_bytes(IMAGES)[:cut]
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    with pytest.raises(DataError, match=r"truncated|not IDX images") as raised:
        read_images(path)
    assert str(path) in str(raised.value)


@given(data=st.data())
def test_every_truncation_of_gzip_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    whole = gzip.compress(idx_bytes(IMAGES), mtime=0)
    path = tmp_path_factory.mktemp("idx") / "images.gz"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DataError, match=r"images\.gz "):
        read_images(path)


@given(data=st.data())
def test_a_flipped_bit_in_gzip_never_gives_other_images(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    damaged = bytearray(gzip.compress(idx_bytes(IMAGES), mtime=0))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("idx") / "images.gz"
    path.write_bytes(bytes(damaged))
    read = IMAGES  # what is left if the file is refused, as it must be unless the bit means nothing (a time stamp)
    with suppress(DataError):
        read = read_images(path)
    assert np.array_equal(read, IMAGES)


@given(extra=st.binary(min_size=1, max_size=20), zipped=st.booleans())
def test_an_oversized_file_is_refused(tmp_path_factory: pytest.TempPathFactory, extra: bytes, zipped: bool):
    path = tmp_path_factory.mktemp("idx") / "images"
    content = idx_bytes(IMAGES) + extra
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    with pytest.raises(DataError, match=r"images is oversized: more bytes than the 2 x 3 x 4 values declared"):
        read_images(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not IDX images: IDX images start with 0x00000803, this file is empty"),
        (b"PNG\n....", "is not IDX images: IDX images start with 0x00000803, this file with 0x504e470a"),
        (idx_bytes(LABELS), r"holds labels \(magic 0x00000801\) where images \(0x00000803\) are expected$"),
        (b"\0\0\x0d\x03" + bytes(12), "is not IDX images: IDX images start with 0x00000803, this file with 0x00000d03"),
        (b"\0\0\x08\x03" + bytes(5), "is truncated: its IDX header has 9 of 16 bytes"),
        (struct.pack(">4I", 0x803, 0, 28, 28), "declares 0 x 28 x 28 values; allowed are 1 to 1073741824 in all"),
        (struct.pack(">4I", 0x803, 2**32 - 1, 28, 28), "declares 4294967295 x 28 x 28 values"),
        (idx_bytes(IMAGES)[:-1], "is truncated: 2 x 3 x 4 values declared, 23 of 24 bytes there"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:-1], "is truncated: its gzip stream ends too early"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0) + b"junk", "is corrupt gzip: "),
    ],
)
def test_the_reason_is_told(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{path} {message}"):
        read_images(path)


def test_images_where_labels_are_expected(tmp_path: Path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(DataError, match=r"holds images \(magic 0x00000803\) where labels \(0x00000801\) are expected$"):
        read_labels(path)


def test_a_gzip_bomb_is_read_no_further_than_declared(tmp_path: Path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_bytes(IMAGES))
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(DataError, match=r"bomb.gz is oversized"):
        read_images(path)


def test_a_missing_file_and_a_folder_in_its_place(tmp_path: Path):
    with pytest.raises(DataError, match="none cannot be read: No such file or directory"):
        read_images(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_labels(tmp_path)
