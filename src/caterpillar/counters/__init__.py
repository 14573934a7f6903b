"""Named event counts that add. What an event costs is said elsewhere (cost)."""

from caterpillar.counters.counters import Counters

__all__ = ["Counters"]
