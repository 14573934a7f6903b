"""The paper's two machines, and machines from TOML files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from caterpillar.checks import SpecError, UsageError, read_toml, refuse_unknown_keys
from caterpillar.machine.machine import Machine

# Li and Pedram 2017, section V; its figures and tables settle which machine is which (docs/reproduction.md).
PAPER_A = Machine(name="paper-a", core_rows=2, cores_per_row=16, pe_rows=4, pe_cols=4, ring_words_per_cycle=4)
PAPER_B = Machine(name="paper-b", core_rows=2, cores_per_row=4, pe_rows=16, pe_cols=16, ring_words_per_cycle=16)

# Found by examples/beyond-sgd.toml (docs/beyond.md): the most GFLOPS/W for SGD on 784-500-500-500-10 under the paper's
# prices, as it is, and with the 512 PEs of paper-a; and the most under cacti prices.
LEAN_SGD = Machine(
    name="lean-sgd", cores_per_row=4, pe_rows=4, pe_cols=4, ring_words_per_cycle=4, pe_sram_word_bits=128
)
WIDE_SGD = Machine(
    name="wide-sgd", cores_per_row=4, pe_rows=8, pe_cols=8, ring_words_per_cycle=8, pe_sram_word_bits=128
)
SMALL_SGD = Machine(
    name="small-sgd",
    cores_per_row=4,
    pe_rows=8,
    pe_cols=8,
    ring_words_per_cycle=8,
    pe_sram_bytes=4 * 1024,
    pe_sram_word_bits=128,
)
# paper-b with words of eight weights, and room for CP's partial sums in MEM B.
WIDE_CP = Machine(
    name="wide-cp",
    cores_per_row=4,
    pe_rows=16,
    pe_cols=16,
    ring_words_per_cycle=16,
    pe_sram_word_bits=128,
    pe_mem_b_bytes=2048,
)
# Five cores divide the large network's layers almost without padding: CP with more than the 98 % utilization that the
# paper's text names, at a sixth of paper-b's speed (examples/lean-cp.toml).
LEAN_CP = Machine(
    name="lean-cp",
    core_rows=1,
    cores_per_row=5,
    pe_rows=4,
    pe_cols=16,
    ring_words_per_cycle=4,
    pe_sram_bytes=75 * 1024,
    pe_sram_word_bits=64,
    pe_mem_b_bytes=2560,
    core_sram_bytes=160 * 1024,
)

MACHINES: dict[str, Machine] = {
    machine.name: machine for machine in (PAPER_A, PAPER_B, LEAN_SGD, WIDE_SGD, SMALL_SGD, WIDE_CP, LEAN_CP)
}


def parse_machine(text: str) -> Machine:
    """A preset by name, or a TOML file whose keys are Machine's fields. Raises UsageError or SpecError."""
    if text.endswith(".toml"):
        return _from_toml(Path(text))
    if text not in MACHINES:
        raise UsageError(f"--machine must be one of {', '.join(MACHINES)}, or a .toml file, got {text!r}")
    return MACHINES[text]


def _from_toml(path: Path) -> Machine:
    table = read_toml(path, "--machine")
    refuse_unknown_keys(table, (field.name for field in fields(Machine)), path)
    table.setdefault("name", path.stem)
    if "pe_rows" in table:
        table.setdefault("ring_words_per_cycle", table["pe_rows"])  # the paper's links are nr words wide
    missing = [name for name in ("cores_per_row", "pe_rows", "pe_cols", "ring_words_per_cycle") if name not in table]
    if missing:
        raise SpecError(f"{path}: Machine.{missing[0]} is missing")
    return Machine(**table)
