"""IDX files, gzipped or not, read with suspicion: a file that is not exactly what it should be is refused by name.

Format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each dimension as a big-endian
uint32, then the values; from http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import DataError

LABELS_MAGIC = 0x00000801
IMAGES_MAGIC = 0x00000803
KINDS = {LABELS_MAGIC: "labels", IMAGES_MAGIC: "images"}
MAX_BYTES = 1 << 30  # declared values; more is taken for a damaged header


def read_images(path: Path) -> NDArray[np.uint8]:
    """Images of shape (n, rows, cols). Raises DataError that names the file and what is wrong with it."""
    return _read(path, IMAGES_MAGIC)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Labels of shape (n,). Raises DataError that names the file and what is wrong with it."""
    return _read(path, LABELS_MAGIC)


def _read(path: Path, magic: int) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"  # by content: names lie
            raw.seek(0)
            if not zipped:
                return _parse(path, raw, magic)
            with gzip.GzipFile(fileobj=raw) as file:
                return _parse(path, file, magic)
    except EOFError:
        raise DataError(f"{path} is truncated: its gzip stream ends too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is corrupt gzip: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _parse(path: Path, file: BinaryIO | gzip.GzipFile, magic: int) -> NDArray[np.uint8]:
    _check_magic(path, file.read(4), magic)
    dimensions = magic & 0xFF
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DataError(f"{path} is truncated: its IDX header has {4 + len(header)} of {4 + 4 * dimensions} bytes")
    shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))
    declared = math.prod(shape)
    if not 0 < declared <= MAX_BYTES:
        raise DataError(f"{path} declares {_by(shape)} values; allowed are 1 to {MAX_BYTES} in all")
    values = file.read(declared + 1)  # one more than declared shows an oversized file without reading all of it
    if len(values) < declared:
        raise DataError(f"{path} is truncated: {_by(shape)} values declared, {len(values)} of {declared} bytes there")
    if len(values) > declared:
        raise DataError(f"{path} is oversized: more bytes than the {_by(shape)} values declared")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _check_magic(path: Path, found: bytes, magic: int) -> None:
    number = int.from_bytes(found, "big")
    if len(found) == 4 and number == magic:
        return
    if len(found) == 4 and number in KINDS:
        wanted = f"{KINDS[magic]} (0x{magic:08x})"
        raise DataError(f"{path} holds {KINDS[number]} (magic 0x{number:08x}) where {wanted} are expected")
    expected = f"IDX {KINDS[magic]} start with 0x{magic:08x}"
    start = f"this file with 0x{found.hex()}" if found else "this file is empty"
    raise DataError(f"{path} is not IDX {KINDS[magic]}: {expected}, {start}")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
