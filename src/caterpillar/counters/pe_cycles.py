"""Where the cycles of the PEs go: every cycle of every PE has one cause."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class PeCycles:
    """Cycles times PEs, each with what the PE's FMA does in it, or why it is idle; they sum to cycles x PEs.

    The FMA is issued in:
    useful: multiply-adds that the learning rule asks for.
    padding: multiply-adds beside them: on rows, columns and positions that are rounded up, on cores with copies.
    fill_and_drain: multiply-adds of ticks that only fill or drain a pipeline of layers.
    additions: of partial sums.
    elementwise: products with the learning rate or 1 alone, ReLU's among them.
    It is idle; the cause is the first of these that holds:
    idle_softmax: while the softmax unit works.
    idle_collective: in a stretch of a reduction or an all-gather that no pass hides.
    idle_core_sram: the core SRAM's port is taken in the cycle before, so no other word came from there.
    idle_mem_a_port: MEM A is written in the cycle before, so no word came from there.
    idle_latency: a result is still in the FMA's pipeline; gaps that a pass leaves for what is done beside it are such.
    idle_words: nothing is; words are on their way over buses, links or the ring.
    """

    useful: int = 0
    padding: int = 0
    fill_and_drain: int = 0
    additions: int = 0
    elementwise: int = 0
    idle_softmax: int = 0
    idle_collective: int = 0
    idle_core_sram: int = 0
    idle_mem_a_port: int = 0
    idle_latency: int = 0
    idle_words: int = 0

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The causes, in order."""
        return _NAMES

    def as_dict(self) -> dict[str, int]:
        """Cause -> cycles x PEs."""
        return {name: getattr(self, name) for name in _NAMES}

    def __add__(self, other: PeCycles) -> PeCycles:
        return PeCycles(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def __mul__(self, times: int) -> PeCycles:
        return PeCycles(**{name: getattr(self, name) * times for name in _NAMES})

    def split(self, *, useful: int, fill_and_drain: int) -> PeCycles:
        """Itself, of whose multiply-adds, as yet all padding, so many are useful and so many fill and drain."""
        rest = self.padding - useful - fill_and_drain
        return self + PeCycles(useful=useful, fill_and_drain=fill_and_drain, padding=rest - self.padding)


_NAMES = tuple(field.name for field in fields(PeCycles))
