"""The machine: cores of PEs on buses, joined in a ring. Sizes only; what it costs is another room's."""

from __future__ import annotations

from dataclasses import dataclass

from caterpillar.checks import Choice, Limit, SpecError, check

WORD_BYTES = 2  # half precision, the machine's word

LIMITS = (
    Limit("core_rows", int, 1, 16, "rows of cores"),
    Limit("cores_per_row", int, 1, 256, "cores"),
    Limit("pe_rows", int, 1, 64, "PEs"),
    Limit("pe_cols", int, 1, 64, "PEs"),
    Limit("fma_latency", int, 1, 16, "cycles"),
    Limit("pe_sram_bytes", int, 64, 1 << 20, "bytes"),
    Choice("pe_sram_word_bits", (16, 32, 64, 128)),
    Limit("pe_mem_b_bytes", int, 16, 1 << 16, "bytes"),
    Limit("pe_registers", int, 1, 256, "words"),
    Limit("core_sram_bytes", int, 0, 1 << 28, "bytes"),
    Limit("core_sram_words_per_cycle", int, 1, 256, "words a cycle"),
    Limit("ring_words_per_cycle", int, 1, 256, "words a cycle"),
    Limit("clock_hz", float, 1e6, 1e10, "Hz"),
    Choice("neighbour_links", (False, True)),
    Choice("node_nm", (90, 65, 45, 32, 22)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """core_rows x cores_per_row cores on one ring; per core pe_rows x pe_cols PEs on row and column buses.

    Defaults are the paper's PE (Li and Pedram 2017): 16 KB of local SRAM, one half-precision FMA.
    """

    name: str
    core_rows: int = 2
    cores_per_row: int
    pe_rows: int
    pe_cols: int
    fma_latency: int = 4
    pe_sram_bytes: int = 16 * 1024
    pe_sram_word_bits: int = 16
    pe_mem_b_bytes: int = 512
    pe_registers: int = 8
    core_sram_bytes: int = 512 * 1024
    core_sram_words_per_cycle: int = 4
    ring_words_per_cycle: int
    neighbour_links: bool = True
    clock_hz: float = 1e9
    node_nm: int = 45

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:  # pyright: ignore[reportUnnecessaryIsInstance] - from TOML
            raise SpecError(f"Machine.name must be a text, got {self.name!r}")
        check(self, LIMITS)

    @property
    def cores(self) -> int:
        """Cores on the ring."""
        return self.core_rows * self.cores_per_row

    @property
    def pes_per_core(self) -> int:
        """PEs in a core."""
        return self.pe_rows * self.pe_cols

    @property
    def pes(self) -> int:
        """PEs, and MACs a cycle at peak."""
        return self.cores * self.pes_per_core

    @property
    def pe_sram_words(self) -> int:
        """Words a PE's local SRAM holds."""
        return self.pe_sram_bytes // WORD_BYTES
