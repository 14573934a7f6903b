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
from caterpillar.mapping.streamed.clock import Clock, Work, shortest, works
from caterpillar.mapping.streamed.share import Share, Turns

Inputs = Literal["none", "sample", "ring", "both"]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A pass through a layer's weights that goes forward, propagates errors (back), updates, or does several of these.

    inputs: where they come from: the core SRAM (sample), or the ring: those to go forward or to update with, or both.
    """

    machine: Machine
    layer: LayerLayout
    share: Share
    forward: bool
    back: bool
    update: bool
    inputs: Inputs

    @cached_property
    def clock(self) -> Clock:
        """When weights have their turns."""
        choices = list(works(self.machine.fma_latency, forward=self.forward, back=self.back, update=self.update))
        beat = sram_beat_cycles(self.machine)
        return shortest(self.share, choices, stream=self.stream, beat=beat, latency=self.machine.fma_latency)

    @property
    def turns(self) -> Turns:
        """The same, without what is done in them."""
        return self.clock.turns

    @property
    def work(self) -> Work:
        """What is done to a weight."""
        return self.clock.work

    @property
    def downwards(self) -> bool:
        """Whether the last position comes first: so inputs to update with come up the ring."""
        return self.update and self.inputs in ("ring", "both")

    @property
    def pace(self) -> int:
        """Cycles from one beat of inputs or errors to the next."""
        from_sram = sram_beat_cycles(self.machine) if self.inputs in ("sample", "both") else 1
        over_ring = beat_cycles(self.machine) if self.inputs in ("ring", "both") else 1
        return max(from_sram, over_ring)

    @property
    def span(self) -> int:
        """Cycles that the beats of a position take."""
        return self.machine.pe_cols * self.pace

    @property
    def stream(self) -> int:
        """Cycles in which a weight's beats come: the core SRAM is busy."""
        return self.machine.pe_cols * sram_beat_cycles(self.machine) if self.share.streamed else 0

    @property
    def arrives(self) -> int:
        """The first beat of the weight of slot 0."""
        return -self.clock.early - self.stream

    @property
    def returns(self) -> int:
        """The first beat of that weight, updated, on its way back."""
        return self.clock.returns

    @cached_property
    def _turns(self) -> tuple[int, ...]:
        """Of each of the panel's outputs."""
        return tuple(self.share.turn(output, self.turns) for output in range(self.share.outputs))

    @property
    def ends(self) -> int:
        """The last weight's turn."""
        return self._turns[-1]

    @property
    def issued(self) -> int:
        """The first cycle without a position's multiply-adds."""
        return self.ends + self.work.last + 1

    @property
    def buses(self) -> int:
        """The first cycle in which a position's streamed weights have all come and gone."""
        if not self.share.streamed:
            return self.arrives
        last = (self.share.streamed - 1) * self.turns.slot
        return last + (self.returns if self.update else self.arrives) + self.stream

    @cached_property
    def chains(self) -> int:
        """Error sums that turns take up one after the other, so that each is ready for its next; one, if none are."""
        count = 1
        pairs = zip(self._turns, self._turns[count:], strict=False)
        while self.back and any(later - turn < self.machine.fma_latency for turn, later in pairs):
            count *= 2
            pairs = zip(self._turns, self._turns[count:], strict=False)
        return count

    @cached_property
    def halvings(self) -> tuple[tuple[int, int], ...]:
        """(first cycle, additions) of each step in which the error sums are added."""
        busy, found = {*self._multiplies, self._inside}, list[tuple[int, int]]()
        at, count = self.ends + 1 + self.machine.fma_latency, self.chains // 2
        while count:
            while busy & {*range(at, at + count)}:
                at += 1
            found.append((at, count))
            at, count = at + count - 1 + self.machine.fma_latency, count // 2
        return tuple(found)

    @cached_property
    def _multiplies(self) -> set[int]:
        """Cycles in which a position's weights are worked on."""
        return {turn + later for turn in self._turns for later in self.work.multiplies}

    @property
    def summed(self) -> int:
        """The cycle in which a position's error sum is ready."""
        latency = self.machine.fma_latency
        return self.halvings[-1][0] + latency if self.halvings else self.ends + 1 + latency

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
        wait, turns = max(self.machine.fma_latency, self.pace), self._turns[:: self.chains]
        until = turns[-1] + 2  # then its register is to be written anew
        if self.share.streamed:
            until = min(until, self.returns, self.turns.slot + self.arrives)
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
        at = share.streamed * self.turns.slot + self.arrives + self.span
        back = (share.streamed - 1) * self.turns.slot + self.returns
        late = self.pace - 1 if self.inputs in ("sample", "both") else 0
        if at + late > back or at < self.work.forward or at + latency < self.ends:
            return None
        if self.back and at - self.span < self.leaves + self.span:
            return None
        free = at not in self._multiplies and max(self._accesses[at], self._accesses[at + latency]) < 2
        return at if free else None

    @cached_property
    def _accesses(self) -> Counter[int]:
        """How often a position's weights have MEM B read or written in a cycle."""
        return Counter(turn + later for turn in self._turns for later in self.work.moves)

    @property
    def latched(self) -> int:
        """The cycle in which the row latches hold a position's inputs: where there are both, those to update with."""
        return self._round[1]

    @property
    def begins(self) -> int:
        """The first beat of a position's inputs."""
        return self.before(self._round[1])

    @property
    def fresh(self) -> int:
        """The cycle in which the row latches hold a position's inputs to go forward with, where there are both."""
        return min(self.taken, self.arrives + 1 - sram_beat_cycles(self.machine))

    def before(self, latched: int) -> int:
        """The first of the beats that the row latches hold in a cycle."""
        return latched - 1 - (self.machine.pe_cols - 1) * self.pace

    @property
    def period(self) -> int:
        """Cycles from one position to the next."""
        return self._round[0]

    @cached_property
    def _round(self) -> tuple[int, int]:
        """period and latched."""
        least, inside = [self.buses - self.arrives, self.issued + self.machine.fma_latency + 1], self._inside
        least.append(self.ends + max(self.work.writes, default=0) + 2)
        if self.inputs == "none":
            return max(least), 0
        least.append(self.span)
        first = self.before(self.fresh) if self.inputs == "both" else self.taken if self.back else self.arrives
        late = -3 - self.machine.fma_latency if self.downwards else min(self.work.forward - 3, -1)
        latched = min(late, first - (self.pace - 1) * (self.inputs in ("sample", "both")))
        if self.back:
            least += [self.buses - first, self.summed - self.visit]
        if self.inputs == "both":
            least.append(self.work.forward - self.fresh)
        if inside is not None:
            least.append(inside - late)
        else:
            least += [self.buses - self.before(latched), self.work.forward - latched]
            least += [self.issued - latched] if self.update or self.inputs == "sample" else []
        if inside is None and self.back:
            added = self.halvings[-1][0] + 1 if self.halvings else 0
            least += [added - latched, self.leaves + self.span - self.before(latched)]
        period = max(least)
        while self.forward and not self._room(period, period + latched if inside is None else inside):
            period += 1
        return period, latched if inside is None else inside - period

    def _room(self, period: int, at: int) -> bool:
        """Whether MEM B has time for inputs that the row latches hold in a cycle `at` of the position before."""
        taken = [at, *([at + self.machine.fma_latency] if self.update else [])]
        if self.inputs == "both":
            taken.append(period + self.fresh)
        if self.inputs == "ring":  # the core's own are read from MEM B, and kept there
            taken += [self.before(at) - 1 + g * self.pace for g in range(self.machine.pe_cols)]
            if all(self._accesses[cycle] > 1 or cycle in taken for cycle in range(at)):
                return False
        return all(self._accesses[cycle] < 2 for cycle in taken)
