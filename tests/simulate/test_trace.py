"""The trace holds every phase of every core, in order and without overlap, and the units' use."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from caterpillar.checks import OutputError
from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, place
from caterpillar.mapping.schedule import expand
from caterpillar.network import Network
from caterpillar.rules import sgd
from caterpillar.simulate.hazards import walk
from caterpillar.simulate.trace import WINDOW, write_trace

MACHINE = Machine(name="tiny", cores_per_row=2, pe_rows=2, pe_cols=2, ring_words_per_cycle=2)


def schedule() -> Schedule:
    placed = place(sgd()(Network.mlp(20, 16, 12, 5)), MACHINE)
    assert isinstance(placed, Schedule)
    return placed


def test_a_trace_reads_back(tmp_path: Path) -> None:
    placed = schedule()
    write_trace(tmp_path / "out.json", placed, 3)
    events = json.loads((tmp_path / "out.json").read_text())["traceEvents"]
    for core in range(MACHINE.cores):
        for track in (1, 2):
            mine = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == (core, track)]
            assert len(mine) > 3
            for one, other in pairwise(sorted(mine, key=lambda e: e["ts"])):
                assert one["ts"] + one["dur"] <= other["ts"] + 1e-9
    names = {e["name"] for e in events if e["ph"] == "X"}
    assert {"update 1, forward 1", "all-gather 1", "forward 2", "softmax", "reduce-scatter 2", "update 1"} <= names
    end = max(e["ts"] + e["dur"] for e in events if e["ph"] == "X")
    assert end <= placed.cycles(3) / 1e3 + 1e-9  # at 1 GHz a cycle is a thousandth of a microsecond


def test_use_adds_up_to_the_events(tmp_path: Path) -> None:
    placed = schedule()
    write_trace(tmp_path / "out.json", placed, 1)
    events = json.loads((tmp_path / "out.json").read_text())["traceEvents"]
    issues = 0.0
    for program, start in zip(placed.ticks(1), (0, placed.ticks(1)[0].cycles), strict=True):
        for e in events:
            cycle = round(e["ts"] * 1e3) - start if e["name"] == "fma use" else -1
            if 0 <= cycle < program.cycles:
                issues += e["args"]["share"] * min(WINDOW, program.cycles - cycle)
    fma = sum(walk([expand(p)], MACHINE, warm=True, sram_beats=99).fma for p in placed.ticks(1))
    assert issues * MACHINE.pes == pytest.approx(fma)


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--trace file .* cannot be written: No such file or directory"):
        write_trace(tmp_path / "no" / "out.json", schedule(), 1)
