"""Design points a second, and the memory of a million-point sweep: python -m benchmarks.explore [--quick]

Estimates alone (chunks evaluated, one process), then whole sweeps on two processes: evaluation, files, front. `ratio`
is to evaluating the same points one by one. With prices made of circuits, 256 points share a machine's table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from caterpillar.checks import Infeasible
from caterpillar.evaluate import evaluate
from caterpillar.explore import Plan, Sweep, explore, plan_sweep
from caterpillar.explore.points import chunk_bytes, chunks

WORKERS = 2


def sweep(prices: str, capacities: int) -> Sweep:
    """32,768 points for each capacity of a PE's memory."""
    return Sweep(
        network=["500-500-500-10", "2500-2000-1500-1000-500-10"],
        rule=["sgd", "cp", "mbgd"],
        batch=[8, 50],
        prices=prices,
        machine={
            "pe_sram_bytes": {"from": 4096, "to": 4096 + 512 * (capacities - 1), "step": 512},
            "pe_rows": [2, 4, 8, 16],
            "pe_cols": [2, 4, 8, 16],
            "ring_words_per_cycle": "pe_rows",
            "clock_hz": [2.5e8, 5e8, 7.5e8, 1e9],
            "fma_latency": [4, 6],
            "core_rows": [1, 2],
            "cores_per_row": {"from": 1, "to": 16, "step": 1},
        },
        constraints={"area_mm2": {"max": 178.9}},
        objectives={"gflops_per_watt": "max", "area_mm2": "min", "seconds_per_sample": "min"},
    )


def one_by_one(plan: Plan, points: int) -> float:
    """Points a second of evaluate, the machines taken evenly."""
    begin = time.perf_counter()
    step = plan.points // points
    for point in range(0, step * points, step):
        work, number = divmod(point, plan.machines)
        places: dict[str, int] = {}
        for name, values in reversed(plan.axes.items()):
            number, places[name] = divmod(number, len(values))
        asked = plan.works[work]
        answer = evaluate(asked.network, asked.rule, plan.machine(places), prices=asked.prices)
        assert isinstance(answer, Infeasible) or answer.gflops > 0
    return points / (time.perf_counter() - begin)


def estimates(plan: Plan) -> tuple[float, float]:
    """Points a second, and a second of processor time, of one process that evaluates chunks, the first one left out."""
    cut = chunks(plan)
    chunk_bytes(plan, cut[0])
    begin, busy = time.perf_counter(), time.process_time()
    for chunk in cut[1:]:
        chunk_bytes(plan, chunk)
    points = plan.points * (len(cut) - 1) / len(cut)
    return points / (time.perf_counter() - begin), points / (time.process_time() - busy)


def whole(words: Sweep, folder: Path) -> float:
    """Points a second of a whole sweep, from words to results."""
    begin = time.perf_counter()
    done = explore(words, folder, workers=WORKERS)
    return done.points / (time.perf_counter() - begin)


def peak_mb(prices: str, capacities: int) -> float:
    """Greatest memory of a fresh process that does the sweep by itself."""
    code = (
        "import resource, sys, tempfile\nfrom pathlib import Path\nfrom benchmarks.explore import explore, sweep\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        f"    explore(sweep({prices!r}, {capacities}), Path(folder) / 'out')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(arguments: list[str]) -> None:
    """Print the table."""
    capacities = 4 if "--quick" in arguments else 32
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before we start")
    print(
        f"{'prices':8}{'points':>12}{'one by one/s':>14}{'estimates/s':>13}{'ratio':>8}{'a CPU s':>10}"
        f"{f'whole/s on {WORKERS}':>14}"
    )
    for prices in ("paper", "cacti"):
        words = sweep(prices, capacities)
        plan = plan_sweep(words)
        single, (many, busy) = one_by_one(plan, 200), estimates(plan)
        with tempfile.TemporaryDirectory() as folder:
            rate = whole(words, Path(folder) / "out")
        print(
            f"{prices:8}{plan.points:12,}{single:14,.0f}{many:13,.0f}{many / single:8.0f}{busy:10,.0f}{rate:14,.0f}",
            flush=True,
        )
    for count in (capacities // 4, capacities):
        points: Any = plan_sweep(sweep("paper", count)).points
        print(f"peak memory of one process, {points:,} points: {peak_mb('paper', count):.0f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
