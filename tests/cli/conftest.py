"""Running the command line as a user does."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caterpillar.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run


@pytest.fixture
def run_process() -> Callable[..., Ran]:
    """Run a command in a process of its own."""

    def run(*arguments: object) -> Ran:
        command = [sys.executable, "-m", "caterpillar", *(str(argument) for argument in arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def refused(run: Callable[..., Ran]) -> Callable[..., str]:
    """Run a command that must be refused: status 2, nothing on stdout, one line on stderr. Gives that line."""

    def refused(*arguments: object) -> str:
        ran = run(*arguments)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        return ran.err.removeprefix("error: ").removesuffix("\n")

    return refused


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small task, four classes of noisy 4 x 4 images, and a network for it, net.toml."""
    folder = tmp_path_factory.mktemp("tiny")
    random = np.random.Generator(np.random.Philox(key=1))
    patterns = random.integers(0, 2, (4, 16)) * 200
    for part, count in (("train", 120), ("t10k", 40)):
        labels = random.integers(0, 4, count)
        images = patterns[labels] + random.integers(0, 55, (count, 16))
        header = struct.pack(">4I", 0x803, count, 4, 4)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.astype(np.uint8).tobytes())
        header = struct.pack(">2I", 0x801, count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())
    (folder / "net.toml").write_text("sizes = [16, 12, 10, 4]\n")
    return folder
