"""A sweep's folder: sweep.json says what it holds; chunks/ has what is finished; results.parquet joins them.

Every file is written beside its place and renamed, so a kill at any moment loses the chunks under way and no other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from caterpillar.checks import OutputError
from caterpillar.train.run_directory import lock_folder, replace_file

ABOUT = "sweep.json"
MUST_AGREE = ("resolved", "versions")


@contextmanager
def open_folder(path: Path, origin: dict[str, str]) -> Generator[None]:
    """Begin a sweep in path, or go on with the one there, as the only process that does.

    Raises OutputError where path holds another sweep, or something else, or results of other versions.
    """
    try:
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / ABOUT).exists())):
            raise OutputError(f"--out {path} must be a new or empty folder, or one of this sweep")
        (path / "chunks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {path} cannot be made: {error.strerror}") from None
    lock = lock_folder(path)
    try:
        for stray in path.glob("chunks/*.parquet.*"):  # of workers that were killed; hidden ones too
            stray.unlink(missing_ok=True)
        if (path / ABOUT).exists():
            _refuse_another(path, origin)
        else:
            text = json.dumps(origin, indent=2) + "\n"
            replace_file(path / ABOUT, lambda file: file.write(text.encode()))
        yield
    finally:
        os.close(lock)


def _refuse_another(path: Path, origin: dict[str, str]) -> None:
    try:
        stored = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        differs = next((key for key in MUST_AGREE if stored[key] != origin[key]), None)
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(f"{path / ABOUT} is damaged: remove the folder, or name another one") from None
    if differs == "resolved":
        raise OutputError(f"--out {path} holds another sweep; name another folder")
    if differs == "versions":
        raise OutputError(
            f"--out {path} has chunks of {stored[differs]}, this is {origin[differs]}: name another folder"
        )


def chunk_path(path: Path, place: int) -> Path:
    """Where a chunk is kept."""
    return path / "chunks" / f"{place:06d}.parquet"


def keep_chunk(path: Path, content: bytes) -> None:
    """Put a finished chunk in its place. Raises OutputError.

    The name beside it is the process's own: a worker that outlives its killed driver does not meet the next one's.
    """
    own = path.with_name(f"{path.name}.{os.getpid()}")
    replace_file(own, lambda file: file.write(content))
    own.replace(path)
