"""Machines as frozen descriptions."""

from caterpillar.machine.columns import machine_columns
from caterpillar.machine.machine import LIMITS, WORD_BYTES, Machine
from caterpillar.machine.presets import MACHINES, PAPER_A, PAPER_B, parse_machine

__all__ = ["LIMITS", "MACHINES", "PAPER_A", "PAPER_B", "WORD_BYTES", "Machine", "machine_columns", "parse_machine"]
