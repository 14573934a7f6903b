"""What a machine is built of at its node: memories that keep up with its clock, stored bits, areas and distances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from caterpillar.checks import UsageError
from caterpillar.cost import control
from caterpillar.cost.prices import Price
from caterpillar.cost.technology import figures
from caterpillar.cost.technology.scaling import LOGIC_V, area_factor, delay_factor
from caterpillar.cost.technology.sram import Sram, contenders
from caterpillar.machine import WORD_BYTES, Machine

WORD_BITS = 8 * WORD_BYTES

RING_DIRECTIONS = 2
WIDEST_BITS, LANE_BITS = 128, 64  # a memory of wider words is lanes side by side
OFF_CORE_BANKS = (1, 2, 4, 8)

# Addresses of a pass follow each other, so a read may be pipelined: a local memory may answer in the second cycle, an
# off-core one in the eighth. The first word of a pass is later by that; the others come one a cycle. Instructions are
# fetched ahead, for nothing branches. All other memories answer within the cycle.
LOCAL_READ_CYCLES = 2
FETCH_CYCLES = 2
OFF_CORE_READ_CYCLES = 8
NEAR = 2  # our judgement of what a designer might take for reasons that energy does not show


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A memory's designs that keep up with the clock, the one taken first; lanes of them stand side by side.

    prices: by quantity (pJ, mW, mm2) of one lane.
    """

    contenders: tuple[Sram, ...]
    clock_hz: float
    lanes: int = 1
    prices: dict[str, Price]

    @property
    def sram(self) -> Sram:
        """The design taken: least energy in a busy cycle."""
        return self.contenders[0]

    @property
    def words(self) -> float:
        """16-bit words an access of a lane brings."""
        return self.sram.word_bits / WORD_BITS

    def price(self, quantity: str) -> Price:
        """A quantity of one lane; its range is that of the designs with up to NEAR times the least busy energy."""
        return self.prices[quantity]

    @property
    def late_cycles(self) -> int:
        """Cycles by which a word comes later than from a memory that answers within one."""
        return self.sram.read_cycles(self.clock_hz) - 1

    def word_price(self, quantity: str) -> Price:
        """Energy a 16-bit word, all words of an access used."""
        return self.price(quantity).times(1 / self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuits:
    """A machine's circuits. Areas are of one PE, distances in mm from a PE and from a core to the next."""

    machine: Machine
    volts: float
    mem_a: Memory
    mem_b: Memory
    micro_program: Memory
    ring_queue: Memory
    softmax: Memory
    off_core: Memory | None
    fpu_mm2: Price
    rest_mm2: Price

    @property
    def pe_mm2(self) -> float:
        """Area of a PE."""
        return self.fpu_mm2.value + self.mem_a.sram.area_mm2 + self.rest_mm2.value

    @property
    def off_core_mm2(self) -> float:
        """Area of a core's SRAM."""
        return 0.0 if self.off_core is None else self.off_core.lanes * self.off_core.sram.area_mm2

    @property
    def pe_pitch_mm(self) -> float:
        """Side of a square PE."""
        return math.sqrt(self.pe_mm2)

    @property
    def core_pitch_mm(self) -> float:
        """Side of a square core."""
        return math.sqrt(self.machine.pes_per_core * self.pe_mm2 + self.off_core_mm2)


def circuits(machine: Machine, volts: float | None = None) -> Circuits:
    """The circuits of a machine, logic at volts (default: scaling.LOGIC_V of its node).

    Raises UsageError where no memory or no FMA keeps up with the clock.
    """
    supply = LOGIC_V[machine.node_nm] if volts is None else volts
    _check_fma(machine, supply)
    mem_a = local_sram(machine)
    mem_b = _memory("MEM B", machine, machine.pe_mem_b_bytes, WORD_BITS, ports="1R1W")
    micro = control_store(machine, control.STORE_BYTES)
    beat_bits = machine.pe_rows * WORD_BITS
    queue = _memory("ring queue", machine, control.queue_beats() * beat_bits // 8, beat_bits, ports="1R1W")
    softmax = _memory("softmax unit", machine, control.softmax_words() * WORD_BYTES, beat_bits, ports="1R1W")
    off_core = None
    if machine.core_sram_bytes:
        off_core = _memory(
            "off-core SRAM",
            machine,
            machine.core_sram_bytes,
            machine.core_sram_words_per_cycle * WORD_BITS,
            read_cycles=OFF_CORE_READ_CYCLES,
            banks=OFF_CORE_BANKS,
        )
    return Circuits(
        machine=machine,
        volts=supply,
        mem_a=mem_a,
        mem_b=mem_b,
        micro_program=micro,
        ring_queue=queue,
        softmax=softmax,
        off_core=off_core,
        fpu_mm2=figures.FMA_MM2.times(area_factor(machine.node_nm)),
        rest_mm2=_rest(machine, mem_b, micro, queue, softmax),
    )


def local_sram(machine: Machine) -> Memory:
    """MEM A of a machine. Raises UsageError where none keeps up with the clock."""
    return _memory("MEM A", machine, machine.pe_sram_bytes, machine.pe_sram_word_bits, read_cycles=LOCAL_READ_CYCLES)


def control_store(machine: Machine, size_bytes: int) -> Memory:
    """A core's store of micro-programs. Raises UsageError where none keeps up with the clock."""
    return _memory("micro-program store", machine, size_bytes, control.STORE_WORD_BITS, read_cycles=FETCH_CYCLES)


def latch_bits(machine: Machine) -> int:
    """Bits that latch words: off two buses and the links, out of both memories, the FMA result before, into MEM A.

    A group of MEM A is read into latches as wide as it; its words but for the last wait in write latches.
    """
    words = 3 + (1 if machine.neighbour_links else 0) + control.mem_b_latches()
    return (words - 1) * WORD_BITS + 2 * machine.pe_sram_word_bits


def register_bits(machine: Machine) -> int:
    """Bits of the register file and of the accumulators."""
    from caterpillar.mapping.isa import accumulators  # numpy is slow to import

    return WORD_BITS * (machine.pe_registers + accumulators(machine))


def _rest(machine: Machine, mem_b: Memory, micro: Memory, queue: Memory, softmax: Memory) -> Price:
    bit = figures.STORED_BIT_MM2.times(area_factor(machine.node_nm))
    fpu = figures.FMA_MM2.times(area_factor(machine.node_nm))
    share = 1 / machine.pes_per_core
    parts = (
        ("mem_b", mem_b.price("area_mm2")),
        ("registers", bit.times(register_bits(machine))),
        ("latches", bit.times(latch_bits(machine) + WORD_BITS * machine.ring_words_per_cycle / machine.pes_per_core)),
        ("control", bit.times(control.pe_word_bits() + control.sequencer_bits() * share)),
        ("micro_program", micro.price("area_mm2").times(share, "a core's, shared by its PEs")),
        ("ring_queues", queue.price("area_mm2").times(share * RING_DIRECTIONS * queue.lanes, "a core's, shared")),
        ("softmax", fpu.times(share * machine.pe_rows, "an FMA for each row of PEs, shared by the core's PEs")),
        ("logits", softmax.price("area_mm2").times(share * softmax.lanes, "a core's, shared by its PEs")),
    )
    return Price.sum(parts)


def _memory(
    name: str,
    machine: Machine,
    capacity_bytes: int,
    bits: int,
    *,
    read_cycles: int = 1,
    ports: str = "1RW",
    banks: tuple[int, ...] = (1,),
) -> Memory:
    lanes = math.ceil(bits / LANE_BITS) if bits > WIDEST_BITS else 1
    word_bits, per_lane = LANE_BITS if lanes > 1 else bits, -(-capacity_bytes // lanes)
    try:
        return _lanes(machine.node_nm, machine.clock_hz, lanes, per_lane, word_bits, read_cycles, ports, banks)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


@lru_cache(maxsize=4096)
def _lanes(
    node_nm: int,
    clock_hz: float,
    lanes: int,
    capacity_bytes: int,
    word_bits: int,
    read_cycles: int,
    ports: str,
    banks: tuple[int, ...],
) -> Memory:
    """Lanes of a capacity each. Kept, for many machines have the same memory."""
    found = contenders(
        node_nm=node_nm,
        capacity_bytes=capacity_bytes,
        word_bits=word_bits,
        clock_hz=clock_hz,
        read_cycles=read_cycles,
        ports=ports,
        banks=banks,
    )
    taken = found[0]
    near = [sram for sram in found if sram.busy_pj(clock_hz) <= NEAR * taken.busy_pj(clock_hz)]
    source = (
        f"CACTI 7: {taken}, read in {taken.read_cycles(clock_hz)} cycles; range: the "
        f"{len(near)} designs that keep up with the clock for at most {NEAR} times the energy"
    )
    prices = {
        quantity: Price(
            value=float(getattr(taken, quantity)),
            range=(min(float(getattr(s, quantity)) for s in near), max(float(getattr(s, quantity)) for s in near)),
            source=source,
        )
        for quantity in ("read_pj", "write_pj", "leakage_mw", "area_mm2")
    }
    return Memory(contenders=found, clock_hz=clock_hz, lanes=lanes, prices=prices)


def _check_fma(machine: Machine, volts: float) -> None:
    """At 45 nm, where its speed is known: stages cut evenly must fit the clock at this supply."""
    factor = delay_factor(machine.node_nm, volts)
    stage_ns = figures.FMA_STAGE_NS * figures.FMA_STAGES / machine.fma_latency * factor
    if machine.node_nm == 45 and stage_ns * 1e-9 * machine.clock_hz > 1:
        raise UsageError(
            f"an FMA of fma_latency {machine.fma_latency} takes {stage_ns:.2f} ns a stage at 45 nm and {volts:g} V, "
            f"more than a cycle at clock_hz {machine.clock_hz:g}: lower clock_hz or raise fma_latency or the voltage"
        )
