"""How fast the simulator is: machine cycles a second with exact half-precision values, on one thread.

    python benchmarks/simulate.py

Prints the best and the median of several runs, start-up and checks included, and an epoch's exact count.
"""

from __future__ import annotations

import resource
import statistics
import time

import numpy as np

from caterpillar.machine import PAPER_A
from caterpillar.mapping import Schedule, place
from caterpillar.network import Network
from caterpillar.rules import sgd
from caterpillar.simulate import count, simulate

SAMPLES, RUNS, EPOCH = 100, 7, 60_000


def main() -> None:
    network = Network.mlp(784, 500, 500, 500, 10)
    started = time.perf_counter()
    schedule = place(sgd()(network), PAPER_A)
    assert isinstance(schedule, Schedule)
    print(f"place: {time.perf_counter() - started:.2f} s; steady tick {schedule.steady.cycles} cycles")
    print(f"utilization {schedule.utilization:.4f}")
    random = np.random.default_rng(1)
    weights = tuple(
        (random.standard_normal((layer.inputs, layer.outputs)) / np.sqrt(layer.inputs)).astype(np.float16)
        for layer in network.layers
    )
    inputs, labels = random.random((SAMPLES, 784)).astype(np.float16), random.integers(0, 10, SAMPLES)
    simulate(schedule, weights, inputs[:1], labels[:1], 0.01)  # compiles
    speeds: list[float] = []
    for _ in range(RUNS):
        started = time.process_time()
        run = simulate(schedule, weights, inputs, labels, 0.01)
        speeds.append(run.cycles / (time.process_time() - started))
    print(f"simulate, {SAMPLES} samples, 512 PEs, one thread, a second of processor time:")
    print(f"  best {max(speeds) / 1e6:.2f} M machine cycles,")
    print(
        f"  median {statistics.median(speeds) / 1e6:.2f} M; {max(speeds) * PAPER_A.pes / 1e9:.2f} G PE-cycles a second"
    )
    started = time.perf_counter()
    cycles, counters = count(schedule, EPOCH)
    print(
        f"an epoch of {EPOCH} samples: {cycles} cycles, {counters.fma} FMAs, in {time.perf_counter() - started:.2f} s"
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


if __name__ == "__main__":
    main()
