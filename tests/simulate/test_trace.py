"""The trace holds every phase of every core, in order and without overlap, and the units' use."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from caterpillar.checks import OutputError
from caterpillar.machine import PAPER_A, Machine
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import parse_rule, sgd
from caterpillar.simulate import count
from caterpillar.simulate.trace import SAMPLES, trace_events, write_trace

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


CASES = {  # rule, batch, mapping
    "sgd": ("sgd", 1, "best"),
    "fa": ("fa", 1, "best"),
    "dfa": ("dfa", 1, "best"),
    "cp": ("cp", 1, "best"),
    "mbgd": ("mbgd", 2, "best"),
    "mbcp": ("mbcp", 2, "best"),
    "sgd, paper": ("sgd", 1, "paper"),
    "mbgd, paper": ("mbgd", 2, "paper"),
    "cp, paper": ("cp", 1, "paper"),
}
Case = tuple[Schedule, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A schedule of a small network on a small machine, and samples."""
    rule, batch, mapping = CASES[draw(st.sampled_from(sorted(CASES)))]
    machine = replace(
        MACHINE,
        cores_per_row=draw(st.sampled_from((1, 2, 3))),
        pe_cols=2 if mapping == "paper" else draw(st.sampled_from((1, 2, 4))),
        fma_latency=draw(st.sampled_from((2, 4))),
        clock_hz=draw(st.sampled_from((1e9, 0.7e9, 3e8))),
        pe_mem_b_bytes=4096,
        pe_registers=32,
    )
    placed = place(parse_rule(rule, batch=batch)(Network.mlp(20, 16, 12, 5)), machine, mapping=mapping)
    assume(isinstance(placed, Schedule))
    assert isinstance(placed, Schedule)
    return placed, batch * draw(st.integers(1, 4))


@given(case=cases())
@settings(max_examples=20, deadline=None)
def test_slices_are_read_without_loss(case: Case) -> None:
    placed, samples = case
    events = [e for e in read(placed, samples) if e["ph"] == "X"]
    cycle = 1e9 / placed.machine.clock_hz
    for core in range(placed.machine.cores):
        expected, at = list[tuple[int, int, str]](), 0
        for program in placed.ticks(samples):
            group = program.groups[program.group_of[core] if program.group_of else 0]
            for phase in group.phases:
                start, end = (round((at + edge) * cycle) for edge in (phase.start, phase.end))
                expected.append((start, end, phase.name))
            at += program.cycles
        mine = [e for e in events if e["pid"] == core]
        found = [(nanoseconds(e["ts"]), nanoseconds(e["ts"]) + nanoseconds(e["dur"]), e["name"]) for e in mine]
        assert found == expected
        for track in (1, 2):  # slices that neither follow nor enclose each other would not be shown
            ends = sorted((start, end) for (start, end, _), e in zip(found, mine, strict=True) if e["tid"] == track)
            assert all(one[1] <= other[0] for one, other in pairwise(ends))


@given(case=cases())
@settings(max_examples=20, deadline=None)
def test_the_format(case: Case) -> None:
    """Chrome's trace event format: what each kind of event must have, and names for all that is shown."""
    placed, samples = case
    events = read(placed, samples)
    cores = range(placed.machine.cores)
    named = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert {e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"} == set(cores)
    end = placed.cycles(samples) * 1e6 / placed.machine.clock_hz
    for e in events:
        assert e["pid"] in cores
        match e["ph"]:
            case "X":
                assert (e["pid"], e["tid"]) in named
                assert e["ts"] >= 0
                assert e["dur"] >= 0
                assert e["ts"] + e["dur"] <= end + 2e-3
            case "C":
                assert 0 <= e["ts"] <= end + 1e-3
                assert all(value >= 0 for value in e["args"].values())
                assert e["name"] == "words" or all(value <= 1 for value in e["args"].values())
            case kind:
                assert kind == "M"
                assert e["args"]["name"]


@given(case=cases())
@settings(max_examples=30, deadline=None)
def test_counters_add_up_to_the_events(case: Case) -> None:
    """The sum over cores of value times cycles is what the simulator counts."""
    placed, samples = case
    machine, counted = placed.machine, count(placed, samples)[1]
    totals: dict[str, float] = {}
    series: dict[tuple[int, str], list[tuple[int, dict[str, float]]]] = {}
    for e in read(placed, samples):
        if e["ph"] == "C":
            at = round(e["ts"] * machine.clock_hz / 1e6)
            series.setdefault((e["pid"], e["name"]), []).append((at, e["args"]))
    assert set(series) == {(core, name) for core in range(machine.cores) for name in ("use", "words")}
    for values in series.values():
        assert values[0][0] == 0
        assert values[-1] == (placed.cycles(samples), dict.fromkeys(values[0][1], 0))
        for (at, args), (until, _) in pairwise(values):
            for name, value in args.items():
                totals[name] = totals.get(name, 0) + value * (until - at)
    lanes, group = machine.pes_per_core, machine.pe_sram_word_bits // 16
    arrived = placed.network.inputs * (2 if placed.scaled_lag else 1) * placed.input_copies * samples
    assert {name: pytest.approx(total) for name, total in totals.items()} == {
        "FMA": counted.fma / lanes,
        "MEM A": (counted.pe_sram_read_words + counted.pe_sram_write_words) / lanes / group,
        "MEM B port 0": (counted.mem_b_read_words + counted.mem_b_write_words) / lanes - totals["MEM B port 1"],
        "MEM B port 1": totals["MEM B port 1"],
        "row buses": counted.row_bus_words / machine.pe_rows,
        "column buses": counted.column_bus_words / machine.pe_cols,
        "links": counted.neighbour_words / lanes,
        "ring up": counted.ring_word_hops - totals["ring down"],
        "ring down": totals["ring down"],
        "core SRAM read": counted.core_sram_read_words,
        "core SRAM written": counted.core_sram_write_words - arrived,
    }


def test_a_long_run_has_longer_windows_not_more_of_them() -> None:
    placed = place(sgd()(Network.mlp(784, 500, 500, 500, 10)), PAPER_A)
    assert isinstance(placed, Schedule)
    counters = [sum(e["ph"] == "C" for e in trace_events(placed, samples)) for samples in (2, 40)]
    assert 40 / 2 * counters[0] > 2.2 * SAMPLES > counters[1] > counters[0]  # two counters a core


def test_collectives_of_mapping_paper_are_on_their_track() -> None:
    for rule, batch in (("sgd", 1), ("mbgd", 2)):
        placed = place(parse_rule(rule, batch=batch)(Network.mlp(20, 16, 12, 5)), MACHINE, mapping="paper")
        assert isinstance(placed, Schedule)
        over_the_ring = [p for p in placed.steady.phases if p.name.startswith(("all-gather", "reduce-scatter"))]
        assert over_the_ring
        assert {phase.track for phase in over_the_ring} == {"collective"}
        if batch == 1:
            assert sum(phase.name == "softmax" for phase in placed.steady.phases) == 1


def read(placed: Schedule, samples: int) -> list[dict[str, Any]]:
    """The events as a reader of the file has them."""
    return json.loads(json.dumps(list(trace_events(placed, samples)), allow_nan=False))


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"--trace file .* cannot be written: No such file or directory"):
        write_trace(tmp_path / "no" / "out.json", schedule(), 1)
