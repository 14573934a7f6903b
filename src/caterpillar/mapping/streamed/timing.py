"""When things happen in a pass: cycles from the begin of a position's slot 0, in which its first weight is used.

A streamed weight's beats come just before its turn, one a column of PEs; updated, it waits in a register for the
cycles in which no weight comes, and goes back. Between two positions there is a gap, in which the row buses carry the
inputs of the next one and, where errors are propagated, the sums of the last one on their way round the ring.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from caterpillar.machine import Machine
from caterpillar.mapping.isa import beat_cycles, sram_beat_cycles
from caterpillar.mapping.layout import LayerLayout
from caterpillar.mapping.split import back_unit, up
from caterpillar.mapping.streamed.share import Share

Inputs = Literal["none", "sample", "ring"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A pass through a layer's weights that goes forward, propagates errors (back), updates, or two of these.

    inputs: where new ones come from: the core SRAM (sample), or the ring (activations, to go forward or to update).
    """

    machine: Machine
    layer: LayerLayout
    share: Share
    forward: bool
    back: bool
    update: bool
    inputs: Inputs

    @property
    def step(self) -> int:
        """Cycles a weight takes: two operations, or two accesses of MEM A."""
        return 2 if self.update else 1

    @property
    def pace(self) -> int:
        """Cycles from one beat of inputs or errors to the next."""
        return sram_beat_cycles(self.machine) if self.inputs == "sample" else beat_cycles(self.machine)

    @property
    def span(self) -> int:
        """Cycles that the beats of a position take."""
        return self.machine.pe_cols * self.pace

    @property
    def stream(self) -> int:
        """Cycles in which a weight's beats come: the core SRAM is busy."""
        return self.machine.pe_cols * sram_beat_cycles(self.machine) if self.share.streamed else 0

    @property
    def slot(self) -> int:
        """Cycles of a slot."""
        return self._slot[0]

    @property
    def arrives(self) -> int:
        """The first beat of the weight of slot 0."""
        return -self._slot[1] - self.stream

    @property
    def returns(self) -> int:
        """The first beat of that weight, updated, on its way back."""
        return self._slot[2]

    @cached_property
    def _slot(self) -> tuple[int, int, int]:
        """Cycles of a slot; from a weight's arrival to its use; from its use to its way back.

        The row latches hold a weight from its arrival until the next one's first beat; the register can be read until
        the next one's update is issued; beats that come and go share the core SRAM.
        """
        stream, latency, wide = self.stream, self.machine.fma_latency, self.share.wide
        if not self.update:
            return max(stream, wide, 1), 0, 0
        slot, beat = up(max(2 * stream, 2 * wide), 2), sram_beat_cycles(self.machine)
        while True:
            for early in range(slot - stream):
                for returns in range(latency, slot - stream + beat + 1):
                    if (returns + early) % slot <= slot - 2 * stream:
                        return slot, early, returns
            slot += 2

    @property
    def forward_at(self) -> int:
        """From a weight's turn to its forward multiply-add, with what the update gives."""
        return self.machine.fma_latency + 1 - self.machine.fma_latency % 2 if self.update else 0

    @property
    def turns(self) -> int:
        """The last weight's turn."""
        return self._turns[-1]

    @property
    def issued(self) -> int:
        """The first cycle without a position's multiply-adds."""
        return self.turns + (self.forward_at if self.forward else self.step - 1) + 1

    @property
    def buses(self) -> int:
        """The first cycle in which a position's streamed weights have all come and gone."""
        if not self.share.streamed:
            return self.arrives
        last = (self.share.streamed - 1) * self.slot
        return last + (self.returns if self.update else self.arrives) + self.stream

    @property
    def chains(self) -> int:
        """Error sums that turns take up one after the other, so that each is ready for its next."""
        return back_unit(self.machine)

    @cached_property
    def chain_of(self) -> tuple[int, ...]:
        """Of each of the panel's outputs: its error sum."""
        return tuple(turn // 2 % self.chains for turn in self._turns)

    @property
    def sums(self) -> int:
        """Error sums to be added, rounded up to a power of two."""
        return 1 << max(self.chain_of).bit_length()

    @cached_property
    def halvings(self) -> tuple[tuple[int, int], ...]:
        """(first cycle, additions) of each step in which the error sums are added."""
        at, count, found = self.turns + 1 + self.machine.fma_latency, self.sums // 2, list[tuple[int, int]]()
        if count and at <= (self._inside or 0) < at + self.machine.fma_latency * count.bit_length() + count:
            at = (self._inside or 0) + 1
        while count:
            found.append((at, count))
            at, count = at + count - 1 + self.machine.fma_latency, count // 2
        return tuple(found)

    @property
    def summed(self) -> int:
        """The cycle in which a position's error sum is ready."""
        latency = self.machine.fma_latency
        return self.halvings[-1][0] + latency if self.halvings else self.turns + 1 + latency

    @property
    def visit(self) -> int:
        """Of the position before: the addition of what came over the ring, which takes it off the row latches."""
        return self._visit[0]

    @property
    def leaves(self) -> int:
        """The first beat of that sum, on its way to the next core."""
        return self._visit[1]

    @cached_property
    def _visit(self) -> tuple[int, int]:
        """visit and leaves: the sum leaves after the beats of slot 0's weight if there is time, else before them."""
        wait, turns = max(self.machine.fma_latency, self.pace), zip(self._turns, self.chain_of, strict=True)
        until = max(turn for turn, chain in turns if chain == 0) + 2  # then its register is to be written anew
        if self.share.streamed:
            until = min(until, self.returns, self.slot + self.arrives)
        at = min(self.arrives, -1)
        leaves = max(at + wait, self.arrives + self.stream)
        if leaves + self.span <= until:
            return at, leaves
        return self.arrives - self.span - wait, self.arrives - self.span

    @property
    def taken(self) -> int:
        """The first beat of what comes over the ring for it."""
        return self.visit - 1 - (self.machine.pe_cols - 1) * self.pace

    @cached_property
    def _inside(self) -> int | None:
        """When the row latches hold the next position's inputs that come in the place of one more weight of this one.

        For that must be time before the last weight goes back, and when they have come, and are scaled, the FMA and
        MEM B must be free: else None, and they come after it.
        """
        share, latency = self.share, self.machine.fma_latency
        if not (self.update and share.streamed) or self.inputs == "none":
            return None
        at = share.streamed * self.slot + self.arrives + self.span
        back = (share.streamed - 1) * self.slot + self.returns
        late = self.pace - 1 if self.inputs == "sample" else 0
        if at + late > back or at < self.forward_at or at + latency < self.turns:
            return None
        if self.back and at - self.span < self.leaves + self.span:
            return None
        free = at not in self._multiplies and max(self._accesses[at], self._accesses[at + latency]) < 2
        return at if free else None

    @cached_property
    def _multiplies(self) -> set[int]:
        """Cycles of a position in which its weights are worked on."""
        after = self.forward_at if self.forward else self.step - 1
        return {cycle for turn in self._turns for cycle in (turn, turn + after)}

    @cached_property
    def _accesses(self) -> Counter[int]:
        """How often a position's weights have MEM B read or written in a cycle."""
        found, forward = Counter[int](), self.forward_at
        for turn in self._turns:
            found.update([turn - 1] if self.update else [])
            found.update([turn + forward - 1, turn + forward + self.machine.fma_latency] if self.forward else [])
        return found

    @cached_property
    def _turns(self) -> tuple[int, ...]:
        """Of each of the panel's outputs."""
        outputs = range(self.share.mixed * self.share.wide + self.share.alone + self.share.tail)
        return tuple(self.share.cycle(output, self.slot, self.step) for output in outputs)

    @property
    def latched(self) -> int:
        """The cycle in which the row latches hold a position's inputs."""
        return self._round[1]

    @property
    def begins(self) -> int:
        """The first beat of a position's inputs."""
        return self._round[1] - 1 - (self.machine.pe_cols - 1) * self.pace

    @property
    def period(self) -> int:
        """Cycles from one position to the next."""
        return self._round[0]

    @cached_property
    def _round(self) -> tuple[int, int]:
        """period and latched."""
        latency, span, inside = self.machine.fma_latency, self.span, self._inside
        least = [self.buses - self.arrives, self.issued + latency + 1]
        if self.back:
            least += [self.buses - self.taken, self.summed - self.visit]
        if self.inputs == "none":
            return up(max(least), self.step), 0
        late = -3 - latency if self.back else min(self.forward_at - 3, -1)
        if inside is not None:
            period = up(max(*least, inside - late), self.step)
            return period, inside - period
        latched = min(late, self.taken if self.back else self.arrives - (self.pace - 1) * (self.inputs == "sample"))
        begins = latched - 1 - (self.machine.pe_cols - 1) * self.pace
        least += [self.buses - begins, self.forward_at - latched]
        if self.back:
            added = self.halvings[-1][0] + 1 if self.halvings else 0
            least += [max(added, self.issued) - latched, self.leaves + span - begins]
        elif self.inputs == "sample":
            least.append(self.issued - latched)
        period = up(max(least), self.step)
        while self.forward and not self._room(period, latched):
            period += self.step
        return period, latched

    def _room(self, period: int, latched: int) -> bool:
        """Whether MEM B has time for the inputs, and, if they come round the ring, to read and keep the core's own."""
        taken = [period + latched]
        if self.inputs == "ring":
            taken += [period + latched - 2 - g * self.pace for g in range(self.machine.pe_cols)]
            if all(self._accesses[at] > 1 or at in taken for at in range(period + latched)):
                return False
        return all(self._accesses[at] < 2 for at in taken)
