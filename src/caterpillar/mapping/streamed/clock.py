"""When a pass has which turn: a search for the shortest slot in which no unit is wanted twice.

All slots are alike, so a unit may be used in a cycle if no other use falls on it, modulo the slot's length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from caterpillar.mapping.streamed.share import Share, Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is done to a weight, in cycles from its turn, in which it is read from its latch first.

    multiplies: of the FMA. writes: of MEM A, for resident weights, which are read in the cycle before. moves: of MEM B.
    """

    multiplies: tuple[int, ...]
    writes: tuple[int, ...]
    moves: tuple[int, ...]
    forward: int

    @property
    def apart(self) -> int:
        """Cycles until a latch may have the next weight, or what goes with it."""
        return 1 + max([0, *(at for at in self.multiplies if at < 2)])

    @property
    def last(self) -> int:
        """The last multiply-add."""
        return max(self.multiplies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """turns: of all weights. early: from a streamed weight's arrival to its turn; returns: from its turn to its way
    back. work: what is done to a weight.
    """

    turns: Turns
    early: int
    returns: int
    work: Work


def works(latency: int, *, forward: bool, back: bool, update: bool) -> Iterator[Work]:
    """What may be done to a weight: results are taken as they come out of the FMA, or a cycle later."""
    if not update:
        yield Work(multiplies=(0,), writes=(), moves=(-1, latency), forward=0)
        return
    for late, written in product((latency, latency + 1) if forward else (0,), (latency, latency + 1)):
        moves = (-1, late - 1, late + latency) if forward else (-1,)
        multiplies = (0, *((1,) if back else ()), *((late,) if forward else ()))
        yield Work(multiplies=multiplies, writes=(written,), moves=moves, forward=late)


def shortest(share: Share, choices: Sequence[Work], *, stream: int, beat: int, latency: int) -> Clock:
    """The clock with the shortest slot, and then the shortest way through the tail.

    stream: cycles in which a weight's beats come, or go; beat: of them, those of one beat.
    """
    slot = max(1, stream * (1 + bool(choices[0].writes)))
    while True:
        found = [clock for work in choices for clock in _clocks(share, work, slot, stream, beat, latency)]
        if found:
            return min(found, key=lambda one: (one.turns.rest + share.tail * one.turns.step, one.work.forward))
        slot += 1


def _clocks(share: Share, work: Work, slot: int, stream: int, beat: int, latency: int) -> Iterator[Clock]:
    offsets, road = _offsets(share.wide, work, slot), _road(work, slot, stream, beat, latency)
    if offsets is None or road is None:
        return
    step = next(n for n in range(1, 64) if _offsets(1, work, n, resident=True))
    turns = Turns(slot=slot, offsets=offsets, step=step, rest=0)
    while _collide(share, work, turns):
        turns = Turns(slot=slot, offsets=offsets, step=step, rest=turns.rest + 1)
    yield Clock(turns=turns, early=road[0], returns=road[1], work=work)


def _offsets(wide: int, work: Work, slot: int, *, resident: bool = False) -> tuple[int, ...] | None:
    """The turns of a slot's weights in it, each the first that is free. resident: the first weight is, too."""
    fma, memory_a, memory_b = set[int](), set[int](), Counter[int]()
    found: list[int] = []
    for place in range(wide):
        first = found[-1] + work.apart if found else 0
        for at in range(first, slot if found else 1):
            multiplies = [(at + later) % slot for later in work.multiplies]
            accesses = [(at + later) % slot for later in (-1, *work.writes)] if place or resident else []
            moves = Counter((at + later) % slot for later in work.moves)
            distinct = all(len(set(each)) == len(each) for each in (multiplies, accesses))
            if not distinct or fma & {*multiplies} or memory_a & {*accesses} or at + work.apart > slot:
                continue
            if max((memory_b + moves).values()) > 2:
                continue
            fma |= {*multiplies}
            memory_a |= {*accesses}
            memory_b += moves
            found.append(at)
            break
    return tuple(found) if len(found) == wide else None


def _road(work: Work, slot: int, stream: int, beat: int, latency: int) -> tuple[int, int] | None:
    """How early streamed weights come, and when they go back, after their turn.

    The row latches hold a weight from its arrival until the next one's first beat; the register can be read until the
    next one's update is issued; beats that come and go share the core SRAM.
    """
    if not work.writes or not stream:
        return 0, latency
    for early in range(slot - stream - work.apart + 2):
        for returns in range(latency, slot - stream + beat + 1):
            if (returns + early) % slot <= slot - 2 * stream:
                return early, returns
    return None


def _collide(share: Share, work: Work, turns: Turns) -> bool:
    """Whether the tail's weights meet those of the slots before."""
    slots = [share.turn(output, turns) for output in range(share.outputs - share.tail)]
    tail = [share.turn(output, turns) for output in range(share.outputs - share.tail, share.outputs)]
    resident = [turn for number, turn in enumerate(slots) if not share.is_streamed(number)]
    for turns_of, uses, most in (
        (slots, work.multiplies, 1),
        (resident, (-1, *work.writes), 1),
        (slots, work.moves, 2),
    ):
        count = Counter(turn + later for turn in (*turns_of, *tail) for later in uses)
        if max(count.values(), default=0) > most:
            return True
    return False
