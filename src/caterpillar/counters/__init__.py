"""Named event counts that add, and where PE-cycles go. What an event costs is said elsewhere (cost)."""

from caterpillar.counters.counters import Counters
from caterpillar.counters.pe_cycles import PeCycles

__all__ = ["Counters", "PeCycles"]
