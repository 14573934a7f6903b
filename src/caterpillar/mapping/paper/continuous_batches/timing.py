"""When a part's pass does what. Positions go a *tile* at a time: all samples back, one update, all samples forward.

Whatever the FMA works on comes k at a time, k its latency rounded up to a power of two, and at least 4: so a sum is
wanted again only when it is ready. A tile is k positions, or N, so that its error sums are whole blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.isa import ACCUMULATOR, REGISTER, accumulators, sram_beat_cycles
from caterpillar.mapping.paper.continuous.shares import Stage
from caterpillar.mapping.pipeline.passes import beat_of
from caterpillar.network import Network


def interleave(m: Machine) -> int:
    """How many sums take turns."""
    return max(4, accumulators(m))


def sums_at(m: Machine) -> int:
    """The first of the slots that hold them."""
    return ACCUMULATOR if accumulators(m) >= 4 else REGISTER + interleave(m)


def registers(m: Machine) -> int:
    """Registers in use."""
    return waiting(m).stop + ACCUMULATOR - REGISTER


def waiting(m: Machine) -> range:
    """Registers, counted as accumulators, in which sums beside a pass wait for a port of MEM B."""
    first = REGISTER - ACCUMULATOR + interleave(m) * (1 if accumulators(m) >= 4 else 2)
    return range(first, first + 4)


def make_stages(network: Network, m: Machine) -> tuple[Stage, ...]:
    """The layers' work; a round is a tile."""
    found: list[Stage] = []
    for layer in network.layers:
        back = layer.index > 1
        tile = max(interleave(m), m.pe_rows) if back else interleave(m)
        positions = -(-layer.inputs // m.pe_rows)
        found.append(
            Stage(
                layer=layer.index,
                depth=network.depth,
                positions=positions,
                groups=-(-layer.outputs // m.pe_rows),
                width=tile,
                rounds=-(-positions // tile),
                beat=beat_of(m, back=back),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Bursts:
    """Beats come so many at a time, `spacing` cycles apart, every `period` cycles."""

    many: int
    spacing: int
    period: int

    def cycles(self, beats: int) -> int:
        """What some beats take."""
        return beats // self.many * self.period


def _bursts(tile: int, spacing: int, cycles: int, period: int) -> Bursts:
    """As many at a time as find room in the first so many cycles of a period."""
    many = max(1, min(tile, -(-cycles // spacing), period // spacing))
    return Bursts(1 << many.bit_length() - 1, spacing, period * -(-spacing // period))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Cycles of a tile. k sums take turns, `quarters` times k positions are a tile.

    together: samples whose sums take turns; outputs: as many outputs. unit: k positions and a sample, backward: the
    multiply-adds, then cycles left free for additions. group: k positions of k pairs of outputs and samples, forward.
    update: k positions' updates; settle: until the last weight is written. pad: after a tile.
    old, now: how inputs come.
    """

    batch: int
    sums: int
    k: int
    quarters: int
    latency: int
    together: int
    unit: int
    update: int
    settle: int
    groups: int
    group: int
    pad: int
    old: Bursts
    now: Bursts

    @property
    def outputs(self) -> int:
        """Outputs of a group."""
        return self.k // self.together

    @property
    def updates_at(self) -> int:
        """When a tile's updates begin."""
        return self.batch * self.quarters * self.unit

    @property
    def forward_at(self) -> int:
        """When it goes forward."""
        return self.updates_at + self.quarters * self.update + self.settle

    @property
    def period(self) -> int:
        """From tile to tile."""
        return self.forward_at + self.quarters * self.groups * self.group + self.pad


def timing_of(stage: Stage, sums: int, m: Machine, batch: int, more: int = 0) -> Timing:
    """A pass's cycles. more: cycles left free beyond those that a unit's additions take."""
    k, latency, spacing = interleave(m), m.fma_latency, sram_beat_cycles(m)
    tile, quarters = stage.width, stage.width // k
    together = math.gcd(batch, k)
    gap = k + max(1, k // m.pe_rows) + more
    outputs = k // together
    groups = -(-sums // outputs) * (batch // together)
    group = k * k if groups > 1 else k * k + latency + 2
    updating, forward = quarters * sums * (batch + 1) * k, quarters * groups * group
    # inputs come beside the updates (those to go forward with) and beside forward (those to learn with), in bursts at
    # cycles in which a port of MEM B is free
    now = _bursts(tile, spacing, k - 1, k)
    old = _bursts(tile, spacing, min(k * k - 3, k * k - k + latency - 1) - 2 * k + 1, group)
    written = max(latency + 1, k)  # the last weights, in MEM A
    settle = latency + k + 2 - (-(-sums // outputs) - 1) * (batch // together) * k * k
    settle = max(written, settle, now.cycles(batch * tile) + k - updating)
    pad = max(0 if stage.back else 2 * k + 1, old.cycles(batch * tile) + 2 * k - forward)
    return Timing(
        batch=batch,
        sums=sums,
        k=k,
        quarters=quarters,
        latency=latency,
        together=together,
        unit=sums * k + gap if stage.back else 0,
        update=sums * (batch + 1) * k,
        settle=settle,
        groups=groups,
        group=group,
        pad=pad,
        old=old,
        now=now,
    )


def cycles_of(stage: Stage, sums: int, m: Machine, batch: int) -> int:
    """About what a part takes: its pass, errors to all PEs, sums over the rows."""
    if not sums:
        return 0
    around = batch * (2 * sums * sram_beat_cycles(m) + -(-sums // m.pe_rows) * m.pe_rows + 4) + 40
    return timing_of(stage, sums, m, batch).period * stage.rounds + around
