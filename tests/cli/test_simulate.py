"""caterpillar simulate: figures, trace, refusals; the weights are those of a run of the simulator's own function."""

import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest

from caterpillar.cost import parse_prices
from caterpillar.cost.control import program_bytes
from caterpillar.datasets import load_dataset
from caterpillar.evaluate import Evaluation, evaluate
from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.network import parse_network
from caterpillar.rules import sgd
from caterpillar.simulate import simulate
from caterpillar.train import Settings, State, initial_state

SMALL = ("--network", "20-10-10", "--samples", "2")


def test_json_document_and_trace(run, tmp_path):
    trace = tmp_path / "trace.json"
    document = run("simulate", *SMALL, "--lr", 0.02, "--trace", trace, "--json").document
    program = sgd()(parse_network("20-10-10"))
    schedule = place(program, PAPER_A)
    assert isinstance(schedule, Schedule)
    start = initial_state(program, Settings(learning_rate=0.02, epochs=1, numerics="fp16"))
    data = load_dataset(samples=2).train
    ran = simulate(schedule, start.weights, data.images.astype(np.float16), data.labels, 0.02)
    trained = State(epoch=1, weights=ran.weights, velocity=(), feedback=())
    assert document["weights_sha256"] == trained.weights_sha256 != start.weights_sha256
    assert (document["cycles"], document["counts"]) == (ran.cycles, ran.counters.as_dict())
    for component, pj in document["energy_pj"].items():
        assert sum(parts[component] for parts in document["energy_by_phase"].values()) == pytest.approx(pj)
    assert document["cycles_per_sample"] == schedule.steady.cycles
    assert document["micro_program_bytes"] == program_bytes(schedule.steady)
    assert document["utilization"] == program.macs_per_sample / (PAPER_A.pes * schedule.steady.cycles)
    assert {event["ph"] for event in json.loads(trace.read_text())["traceEvents"]} == {"M", "X", "C"}


@pytest.mark.parametrize("mapping", ["best", "paper"])
def test_late_reads_and_energy_are_those_of_evaluate(run, mapping):
    """A sample more costs what evaluate says of a sample, to the last cycle."""
    network = parse_network("20-10-10")
    asked = ("simulate", *SMALL[:2], "--mapping", mapping)
    for prices in ("cacti", "paper"):
        ran = [run(*asked, "--samples", n, "--prices", prices, "--json").document for n in (2, 3)]
        answer = evaluate(network, sgd(), PAPER_A, mapping=mapping, prices=parse_prices(prices), executed=True)
        assert isinstance(answer, Evaluation)
        late = ran[1]["late_read_cycles"] - ran[0]["late_read_cycles"]
        assert late == ran[1]["late_read_cycles_per_sample"] == answer.cycles["memory"]
        assert ran[1]["cycles"] - ran[0]["cycles"] + late == answer.cycles_per_sample
        for component, pj in answer.energy_pj.items():
            assert ran[1]["energy_pj"][component] - ran[0]["energy_pj"][component] == pytest.approx(pj, abs=1e-3)
        for phase, parts in answer.energy_by_phase.items():
            more = (sum(one["energy_by_phase"][phase].values()) for one in reversed(ran))
            assert next(more) - next(more) == pytest.approx(sum(parts.values()), abs=1e-3)
        low, high = ran[0]["energy_range_pj"]
        assert low <= sum(ran[0]["energy_pj"].values()) * (1 + 1e-12)
        assert sum(ran[0]["energy_pj"].values()) <= high * (1 + 1e-12)
    assert late == 0  # the paper's table knows no memories
    printed = run("simulate", *SMALL, "--prices", "cacti").out
    assert "late reads of a steady tick, besides" in printed
    assert "late reads" not in run("simulate", *SMALL).out


def test_tables(run):
    ran = run("simulate", *SMALL, "--rule", "dfa")
    assert ran.status == 0
    for word in ("dfa on paper-a, best mapping", "utilization of a steady tick", "softmax", "ring word hops"):
        assert word in ran.out


@pytest.mark.parametrize(("rule", "batch"), [("sgd", 1), ("cp", 1), ("mbgd", 2)])
def test_counting_alone_says_the_same(run, rule, batch):
    """Of fill, steady ticks and drain; no values, so no weights."""
    asked = ("simulate", "--network", "20-10-10", "--rule", rule, "--batch", batch, "--samples", 6, "--json")
    executed, counted = run(*asked).document, run(*asked, "--count-only").document
    assert counted == executed | {"weights_sha256": None}
    assert len(executed["weights_sha256"]) == 64


def test_an_epoch_is_counted_without_executing_it(run):
    asked = ("simulate", "--network", "20-10-10", "--count-only", "--json", "--samples")
    few, more, epoch = (run(*asked, samples).document for samples in (100, 101, 60_000))
    for name, count in more["counts"].items():
        assert epoch["counts"][name] == count + (count - few["counts"][name]) * (60_000 - 101), name
    assert epoch["cycles"] == more["cycles"] + (60_000 - 101) * more["cycles_per_sample"]


def test_a_batch_has_a_row_for_each_phase(run):
    printed = run("simulate", "--network", "20-10-10", "--rule", "mbgd", "--batch", 4, "--mapping", "paper").out
    rows = [line.split("\u2502")[1:5] for line in printed.splitlines() if line.startswith("\u2502 forward 1")]
    assert [cell.strip() for cell in rows[0][:3]] == ["forward 1", "compute", "4"]
    assert len(rows) == 1


@pytest.mark.parametrize("command", [("simulate", *SMALL), ("estimate", "--network", "20-10-10", "--mapping", "best")])
def test_progress_is_for_terminals(command):
    """On stderr, if that is one, and not with --json."""
    _, shown = _on_terminal(*command)
    assert "placing the work" in shown
    assert ("executing" in shown) == (command[0] == "simulate")
    out, shown = _on_terminal(*command, "--json")
    assert shown == ""
    assert json.loads(out)["fits"]


def _on_terminal(*words):
    """What a command writes to stdout, and to a terminal as stderr."""
    ours, its = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "caterpillar", *words], stdout=subprocess.PIPE, stderr=its) as process:
        os.close(its)
        shown = b""
        try:
            while more := os.read(ours, 4096):
                shown += more
        except OSError:  # so Linux says that the writer has left
            pass
        os.close(ours)
        out = process.stdout.read()
    assert process.returncode == 0
    return out, shown.decode()


def test_what_does_not_fit_is_an_answer(run):
    document = run("simulate", "--network", "2500-2000-1500-1000-500-10", "--rule", "fa", "--json").document
    assert document["fits"] is False
    assert document["infeasible"]["needs_bytes"] > document["infeasible"]["has_bytes"] == 16384


def test_refusals_are_one_line(refused, tmp_path):
    assert refused("simulate", "--mapping", "wurst").startswith("--mapping must be one of ")
    assert "samples" in refused("simulate", "--samples", 0)
    few = refused("simulate", *SMALL[:2], "--samples", 10**6, "--count-only", "--trace", tmp_path / "trace.json")
    assert few.startswith("--trace would have ")
    missing = tmp_path / "none" / "trace.json"
    assert refused("simulate", *SMALL, "--trace", missing).startswith(f"--trace file {missing} cannot be written")
    machine = tmp_path / "m.toml"
    machine.write_text("cores_per_row = 2\npe_rows = 3\npe_cols = 2\n")
    assert refused("simulate", "--machine", machine).startswith("Machine.pe_rows must be a power of two")
    machine.write_text("cores_per_row = 2\npe_rows = 2\npe_cols = 4\n")
    odd = refused("simulate", "--machine", machine, "--rule", "mbcp", "--batch", "3")
    assert odd.startswith("--batch must be 1 or even")
    machine.write_text("cores_per_row = 2\npe_rows = 2\npe_cols = 2\nring_words_per_cycle = 0\n")
    assert refused("simulate", "--machine", machine).startswith("Machine.ring_words_per_cycle must be an int in [1, ")


@pytest.mark.parametrize("mapping", ["best", "paper"])
def test_divergence_is_one_line_and_status_1(run, mapping):
    ran = run("simulate", "--network", "20-10-10", "--samples", 20, "--mapping", mapping, "--lr", 1000, "--json")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("error: training diverged: NaN or infinity among the ")
    assert ran.err.count("\n") == 1
