"""Machines as frozen descriptions."""

from caterpillar.machine.machine import WORD_BYTES, Machine
from caterpillar.machine.presets import MACHINES, PAPER_A, PAPER_B, parse_machine

__all__ = ["MACHINES", "PAPER_A", "PAPER_B", "WORD_BYTES", "Machine", "parse_machine"]
