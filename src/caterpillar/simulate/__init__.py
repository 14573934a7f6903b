"""A Schedule executed cycle by cycle, on real values, with every event counted and every hazard refused."""

from caterpillar.simulate.causes import pe_cycles
from caterpillar.simulate.run import Run, count, simulate

__all__ = ["Run", "count", "pe_cycles", "simulate"]
