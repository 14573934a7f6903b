"""The trace holds every phase of every core, in order and without overlap, and the units' use."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterpillar.checks import OutputError
from caterpillar.machine import Machine
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import parse_rule, sgd
from caterpillar.simulate import count
from caterpillar.simulate.trace import WINDOW, trace_events, write_trace

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
                assert nanoseconds(one["ts"]) + nanoseconds(one["dur"]) <= nanoseconds(other["ts"])
    names = {e["name"] for e in events if e["ph"] == "X"}
    assert {"update 1, forward 1", "all-gather 1", "forward 2", "softmax", "reduce-scatter 2", "update 1"} <= names
    end = max(e["ts"] + e["dur"] for e in events if e["ph"] == "X")
    assert end <= placed.cycles(3) / 1e3 + 1e-9  # at 1 GHz a cycle is a thousandth of a microsecond


def nanoseconds(microseconds: float) -> int:
    """As Perfetto reads a time: whole nanoseconds, the rest cut off."""
    return int(microseconds * 1000)


@given(
    rule=st.sampled_from(("sgd", "fa", "dfa", "mbgd", "cp")),
    clock_hz=st.sampled_from((1e9, 0.7e9, 3e8)),
    samples=st.integers(1, 4),
)
@settings(max_examples=20, deadline=None)
def test_slices_are_read_without_loss(rule: str, clock_hz: float, samples: int) -> None:
    batch = 2 if rule == "mbgd" else 1
    machine = replace(MACHINE, clock_hz=clock_hz, pe_mem_b_bytes=1024, pe_registers=16)
    placed = place(parse_rule(rule, batch=batch)(Network.mlp(20, 16, 12, 5)), machine)
    assert isinstance(placed, Schedule)
    found: list[dict[str, Any]] = trace_events(placed, batch * samples)
    events = [e for e in found if e["ph"] == "X" and e["pid"] == 0]
    cycle, at = 1e9 / clock_hz, 0
    expected: list[tuple[int, int, str]] = []
    for program in placed.ticks(batch * samples):
        for phase in program.phases:
            start, end = (round((at + edge) * cycle) for edge in (phase.start, phase.end))
            expected.append((start, end, phase.name))
        at += program.cycles
    assert [(nanoseconds(e["ts"]), nanoseconds(e["ts"]) + nanoseconds(e["dur"]), e["name"]) for e in events] == expected
    for track in (1, 2):  # slices that neither follow nor enclose each other would not be shown
        open_until: list[int] = []
        mine = [e for e in events if e["tid"] == track]
        for start, end in sorted((nanoseconds(e["ts"]), nanoseconds(e["ts"]) + nanoseconds(e["dur"])) for e in mine):
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)


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
    _, counted = count(placed, 1)
    assert issues * MACHINE.pes == pytest.approx(counted.fma)


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--trace file .* cannot be written: No such file or directory"):
        write_trace(tmp_path / "no" / "out.json", schedule(), 1)
