"""Every benchmark in turn: python -m benchmarks. Each also runs by itself, e.g. python -m benchmarks.simulate."""

from __future__ import annotations

from benchmarks import explore, simulate, train


def main() -> None:
    for name, benchmark in (("train", train.main), ("simulate", simulate.main), ("explore", lambda: explore.main([]))):
        print(f"== {name}", flush=True)
        benchmark()


if __name__ == "__main__":
    main()
