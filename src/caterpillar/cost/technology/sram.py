"""SRAM organisations as CACTI prices them: energy, leakage, area and timing at 90 to 22 nm."""

from __future__ import annotations

import csv
import gzip
import math
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from caterpillar.checks import UsageError

SOURCE = "CACTI 7.0.3DD"
HOTTEST_K = 350  # the one temperature at which every node has entries
MEASURED = ("read_pj", "write_pj", "leakage_mw", "area_mm2", "access_ns", "cycle_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sram:
    """One memory: what it is, and what CACTI says of it. Energies are of one access of one word at one port.

    With banks, capacity, leakage and area are of all of them together; an access wakes one, and addresses in sequence
    go round them, so each has as many clock cycles for its access as there are banks.
    """

    node_nm: int
    ports: str
    cell: str
    periphery: str
    kelvin: int
    objective: str
    word_bits: int
    capacity_bytes: int
    banks: int = 1
    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float
    access_ns: float
    cycle_ns: float

    def keeps_up(self, clock_hz: float) -> bool:
        """Whether an access can start every clock cycle, at addresses in sequence where there are banks."""
        return self.cycle_ns * 1e-9 * clock_hz <= self.banks

    def read_cycles(self, clock_hz: float) -> int:
        """Clock cycles from address to word."""
        return math.ceil(self.access_ns * 1e-9 * clock_hz)

    def busy_pj(self, clock_hz: float) -> float:
        """Energy of a cycle in which the memory is read (two times in three) or written, leakage included.

        Two reads a write is what a weight meets in SGD (forward, backward, update).
        """
        return (2 * self.read_pj + self.write_pj) / 3 + self.leakage_mw * 1e9 / clock_hz

    def __str__(self) -> str:
        cells = self.cell if self.cell == self.periphery else f"{self.cell} cells with {self.periphery} periphery"
        kind = f"{cells}, {self.objective}, {self.kelvin} K, {self.node_nm} nm"
        banks = f" in {self.banks} banks" if self.banks > 1 else ""
        return f"{self.capacity_bytes} bytes of {self.word_bits}-bit words{banks}, {self.ports} ({kind})"


Design = tuple[str, str, str]  # cell, periphery, objective
Family = tuple[int, str, int, int]  # node_nm, ports, kelvin, word_bits


@cache
def table() -> dict[Family, dict[Design, tuple[Sram, ...]]]:
    """Every entry, by what is asked for and then by design; each design's entries rise in capacity."""
    found: defaultdict[Family, defaultdict[Design, list[Sram]]] = defaultdict(lambda: defaultdict(list))
    packed = files("caterpillar.cost.technology").joinpath("sram.csv.gz").read_bytes()
    lines = (line for line in gzip.decompress(packed).decode().splitlines() if not line.startswith("#"))
    for row in csv.DictReader(lines):
        sram = Sram(
            node_nm=int(row["node_nm"]),
            ports=row["ports"],
            cell=row["cell"],
            periphery=row["periphery"],
            kelvin=int(row["kelvin"]),
            objective=row["objective"],
            word_bits=int(row["word_bits"]),
            capacity_bytes=int(row["capacity_bytes"]),
            read_pj=float(row["read_pj"]),
            write_pj=float(row["write_pj"]),
            leakage_mw=float(row["leakage_mw"]),
            area_mm2=float(row["area_mm2"]),
            access_ns=float(row["access_ns"]),
            cycle_ns=float(row["cycle_ns"]),
        )
        family = found[(sram.node_nm, sram.ports, sram.kelvin, sram.word_bits)]
        family[(sram.cell, sram.periphery, sram.objective)].append(sram)
    return {family: {d: tuple(s) for d, s in designs.items()} for family, designs in found.items()}


def designs(
    *, node_nm: int, capacity_bytes: int, word_bits: int, ports: str = "1RW", kelvin: int = HOTTEST_K
) -> list[Sram]:
    """Every design CACTI offers for a memory.

    A word width between two of the table's takes the wider one. A capacity between two entries is interpolated, each
    quantity along a straight line in the logarithms of capacity and quantity; below 256 bytes the entry of 256 stands.
    Kinds that the table has at 45 nm only (two ports, words over 64 bits) are taken to other nodes by the ratio of the
    one-port memory of the same capacity and design.
    Raises UsageError: outside of the table's capacities, widths, ports or temperatures.
    """
    widths = sorted({family[3] for family in table() if family[1] == ports and family[2] == kelvin})
    wider = [width for width in widths if width >= word_bits]
    if not wider:
        raise UsageError(f"no SRAM of {word_bits}-bit words, {ports}, {kelvin} K is known; widths are {widths}")
    found = table().get((node_nm, ports, kelvin, wider[0]))
    if found is not None:
        return [_at_capacity(entries, capacity_bytes) for entries in found.values() if _covers(entries, capacity_bytes)]
    narrow = min(wider[0], 64)
    here = {_design(s): s for s in designs(node_nm=node_nm, capacity_bytes=capacity_bytes, word_bits=narrow)}
    base = {_design(s): s for s in designs(node_nm=45, capacity_bytes=capacity_bytes, word_bits=narrow)}
    at_45 = designs(node_nm=45, capacity_bytes=capacity_bytes, word_bits=wider[0], ports=ports, kelvin=kelvin)
    return [_by_ratio(sram, here[_design(sram)], base[_design(sram)]) for sram in at_45]


@cache
def contenders(
    *,
    node_nm: int,
    capacity_bytes: int,
    word_bits: int,
    clock_hz: float,
    read_cycles: int,
    ports: str = "1RW",
    banks: tuple[int, ...] = (1,),
) -> tuple[Sram, ...]:
    """Designs that start an access every cycle and answer within read_cycles, least energy a busy cycle first.

    banks: the numbers of banks to try. Raises UsageError when the table has no such memory, naming its fastest.
    """
    offered = [
        _in_banks(bank, count)
        for count in banks
        for bank in designs(
            node_nm=node_nm, capacity_bytes=-(-capacity_bytes // count), word_bits=word_bits, ports=ports
        )
    ]
    if not offered:
        raise UsageError(
            f"no SRAM of {capacity_bytes} bytes in {word_bits}-bit words at {node_nm} nm is known: "
            "the table ends at 4 MB (64 KB with two ports)"
        )
    fits = [sram for sram in offered if sram.keeps_up(clock_hz) and sram.read_cycles(clock_hz) <= read_cycles]
    if fits:
        return tuple(sorted(fits, key=lambda sram: sram.busy_pj(clock_hz)))
    fastest = min(offered, key=lambda sram: max(sram.cycle_ns / sram.banks, sram.access_ns / read_cycles))
    raise UsageError(
        f"no SRAM of {capacity_bytes} bytes in {word_bits}-bit words at {node_nm} nm keeps up with clock_hz "
        f"{clock_hz:g}: the fastest starts an access every {fastest.cycle_ns / fastest.banks:.2f} ns and answers in "
        f"{fastest.access_ns:.2f} ns, {read_cycles} cycles allowed; lower clock_hz or make the memory smaller"
    )


def _in_banks(bank: Sram, count: int) -> Sram:
    together = {name: getattr(bank, name) * count for name in ("leakage_mw", "area_mm2", "capacity_bytes")}
    return replace(bank, banks=count, **together)


def _design(sram: Sram) -> Design:
    return (sram.cell, sram.periphery, sram.objective)


def _covers(entries: tuple[Sram, ...], capacity_bytes: int) -> bool:
    return capacity_bytes <= entries[-1].capacity_bytes


def _at_capacity(entries: tuple[Sram, ...], capacity_bytes: int) -> Sram:
    above = next(sram for sram in entries if sram.capacity_bytes >= capacity_bytes)
    index = entries.index(above)
    if index == 0 or above.capacity_bytes == capacity_bytes:
        return above
    below = entries[index - 1]
    along = math.log(capacity_bytes / below.capacity_bytes) / math.log(above.capacity_bytes / below.capacity_bytes)
    values = {name: _between(getattr(below, name), getattr(above, name), along) for name in MEASURED}
    return replace(above, capacity_bytes=capacity_bytes, **values)


def _between(low: float, high: float, along: float) -> float:
    return low * (high / low) ** along


def _by_ratio(sram: Sram, here: Sram, base: Sram) -> Sram:
    values = {name: getattr(sram, name) * getattr(here, name) / getattr(base, name) for name in MEASURED}
    return replace(sram, node_nm=here.node_nm, **values)
