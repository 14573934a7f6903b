"""A Program placed on a Machine: micro-programs, where everything lies, and the order of sums."""

from caterpillar.mapping.builder import ScheduleError
from caterpillar.mapping.place import MAPPINGS, place
from caterpillar.mapping.schedule import Schedule

__all__ = ["MAPPINGS", "Schedule", "ScheduleError", "place"]
