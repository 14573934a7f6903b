"""A run's directory: what was run, with which versions, how it went, and the state to go on from.

    config.json     everything that determines the run, and how many epochs were asked for
    versions.jsonl  one line each time the run was started or resumed: from which epoch, with which versions
    metrics.jsonl   one line an epoch
    checkpoint.npz  weights and velocities after the last finished epoch

An epoch is finished when its checkpoint has replaced the one before. Its line of metrics is written first, so a kill
in between leaves a line too many, never one too few; resuming drops it. Files that are replaced are written beside
their place, synced and renamed: a kill at any moment loses the epoch under way at most.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from caterpillar.checks import OutputError

Config = dict[str, Any]
Metrics = dict[str, Any]

CONFIG, VERSIONS, METRICS, CHECKPOINT = "config.json", "versions.jsonl", "metrics.jsonl", "checkpoint.npz"
NOT_IDENTITY = ("epochs", "data")  # more epochs may be asked for; data is a path, its sha256 is what counts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """The state after an epoch: weights[l - 1] is W_l, velocity alike (empty without momentum)."""

    epoch: int
    weights: tuple[NDArray[Any], ...]
    velocity: tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """An open run directory. Made by create_run or resume_run; no other process can open it until it is closed."""

    path: Path
    config: Config
    lock: int  # a descriptor; the system lets go of it when the process ends, however it ends

    def close(self) -> None:
        """Let others open the run."""
        os.close(self.lock)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(
        self, metrics: Metrics, *, weights: Sequence[NDArray[Any]], velocity: Sequence[NDArray[Any]] = ()
    ) -> None:
        """Note a finished epoch: its metrics (which hold `epoch`) and the state after it. Raises OutputError."""
        _append(self.path / METRICS, metrics)
        arrays = {f"weights_{layer}": array for layer, array in enumerate(weights, start=1)}
        arrays |= {f"velocity_{layer}": array for layer, array in enumerate(velocity, start=1)}
        arrays["epoch"] = np.array(metrics["epoch"])
        arrays["config_sha256"] = np.array(config_sha256(self.config))
        replace_file(self.path / CHECKPOINT, lambda file: np.savez(file, allow_pickle=False, **arrays))

    def note_versions(self, versions: Mapping[str, Any]) -> None:
        """Add a line to versions.jsonl: what this start of the run works with. Raises OutputError."""
        _append(self.path / VERSIONS, dict(versions))

    def metrics(self) -> list[Metrics]:
        """The metrics of the finished epochs, from epoch 1. Raises OutputError."""
        lines = _read(self.path / METRICS).splitlines() if (self.path / METRICS).exists() else []
        return [metrics for line in lines if (metrics := _whole(line))]

    def checkpoint(self) -> Checkpoint | None:
        """The state after the last finished epoch; None before the first. Raises OutputError."""
        path = self.path / CHECKPOINT
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise OutputError(f"{path} is damaged: {error}") from None
        if str(arrays.get("config_sha256")) != config_sha256(self.config):
            raise OutputError(f"{path} belongs to another run than {CONFIG} beside it")
        return Checkpoint(
            epoch=int(arrays["epoch"]), weights=_layers(arrays, "weights"), velocity=_layers(arrays, "velocity")
        )


def create_run(path: Path, config: Config) -> RunDirectory:
    """Make a new run directory. Raises OutputError, with nothing touched, if path exists and is not an empty folder."""
    refuse_existing(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {path} cannot be made: {error.strerror}") from None
    run = RunDirectory(path=path, config=config, lock=lock_folder(path))
    try:
        _replace_text(path / CONFIG, json.dumps(config, indent=2) + "\n")
    except OutputError:
        run.close()
        raise
    return run


def refuse_existing(path: Path) -> None:
    """Raise OutputError if path exists and is not an empty folder: a new run overwrites nothing."""
    if (path / CONFIG).exists():
        raise OutputError(f"--out {path} holds a run already; go on with it with --resume, or name another folder")
    if path.exists() and not path.is_dir():
        raise OutputError(f"--out {path} is a file; it must be a new or empty folder")
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(f"--out {path} is not empty; it must be a new or empty folder")


def read_config(path: Path) -> Config:
    """The config of an existing run. Raises OutputError if there is none, or none that can be read."""
    if not (path / CONFIG).is_file():
        raise OutputError(f"--resume: {path} holds no run ({CONFIG} is missing)")
    try:
        config = json.loads(_read(path / CONFIG))
    except ValueError as error:
        raise OutputError(f"{path / CONFIG} is damaged: {error}") from None
    if not isinstance(config, dict):
        raise OutputError(f"{path / CONFIG} is damaged: not a table")
    return config


def resume_run(path: Path, config: Config) -> RunDirectory:
    """Open an existing run to go on with it: metrics past the checkpoint are dropped.

    config is as for create_run. It must equal the run's own, but for `epochs`, which may be more (the run is then
    prolonged). Raises OutputError that names the field and both values, or the file that is damaged.
    """
    refuse_difference(path, read_config(path), config)
    run = RunDirectory(path=path, config=config, lock=lock_folder(path))
    try:
        _drop_unfinished(run)
    except OutputError:
        run.close()
        raise
    return run


def _drop_unfinished(run: RunDirectory) -> None:
    checkpoint = run.checkpoint()
    finished, asked = checkpoint.epoch if checkpoint else 0, run.config["epochs"]
    if asked < finished:
        raise OutputError(f"--epochs {asked} is less than the {finished} that the run {run.path} has finished")
    kept = [metrics for metrics in run.metrics() if metrics["epoch"] <= finished]
    if [metrics["epoch"] for metrics in kept] != list(range(1, finished + 1)):
        raise OutputError(f"{run.path / METRICS} is damaged: it lacks lines of the {finished} finished epochs")
    _replace_text(run.path / METRICS, "".join(json.dumps(metrics) + "\n" for metrics in kept))
    _replace_text(run.path / CONFIG, json.dumps(run.config, indent=2) + "\n")


def refuse_difference(path: Path, stored: Config, asked: Config) -> None:
    """Raise OutputError for the first field that determines the run and is not what the run was started with."""
    for field in asked:
        if field not in NOT_IDENTITY and (field not in stored or stored[field] != asked[field]):
            was, now = json.dumps(stored.get(field)), json.dumps(asked[field])
            raise OutputError(f"--resume: {field} of the run {path} is {was}, got {now}; it cannot change")


def config_sha256(config: Config) -> str:
    """A fingerprint of all that determines the run's weights."""
    identity = {field: value for field, value in config.items() if field not in NOT_IDENTITY}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, Any]:
    """What this process computes with: its versions, and the processor's vector extensions."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("caterpillar-cgra", "numpy", "numba")},
        "machine": platform.machine(),
        "cpu_features": [*simd.get("baseline", []), *simd.get("found", [])],
    }


def _layers(arrays: Mapping[str, NDArray[Any]], kind: str) -> tuple[NDArray[Any], ...]:
    count = sum(name.startswith(f"{kind}_") for name in arrays)
    return tuple(arrays[f"{kind}_{layer}"] for layer in range(1, count + 1))


def _whole(line: str) -> Metrics | None:
    """The metrics of a line; None for one torn by a kill."""
    try:
        metrics = json.loads(line)
    except ValueError:
        return None
    return metrics if isinstance(metrics, dict) and isinstance(metrics.get("epoch"), int) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise OutputError(f"{path} is damaged: {error}") from None


def lock_folder(path: Path) -> int:
    """Hold the folder for this process alone, as long as the descriptor is open. Raises OutputError if another has it.

    A file system without locks goes without.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise OutputError(f"the run {path} is being written by another process") from None
    except OSError:
        pass
    return folder


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            _sync(file)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def _replace_text(path: Path, text: str) -> None:
    replace_file(path, lambda file: file.write(text.encode()))


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write beside path, sync, rename: path holds the old content or the new, never a part. Raises OutputError."""
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            write(file)
            _sync(file)
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
