"""Where continuous propagation's words lie in MEM B, and the address registers that step through them.

Layers are worked on one after the other, so what a pass leaves (partial sums, error sums) or takes (errors) may lie
where another layer's lies while it is not wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from caterpillar.machine import Machine
from caterpillar.mapping.isa import power_of_two_at_least
from caterpillar.mapping.pipeline.split import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """First words in MEM B. Of layer l = 1 .. L - 1 at index l, of the last one at L where it has any.

    sums: partial sums; errors: of the panel, in every lane; carried: error sums off the ring, and then those of the
    core's own positions. own_errors. gate: own activations (an address register's); shared: the same, times the
    learning rate, on their way to all cores; scaled: those of layer L - 1. staged: inputs of the next group; work,
    turned: shortly. logits: sums over cores. end: words in use. shares: of sums, errors and carried, [l]: the layers
    with which a layer shares words.
    """

    sums: tuple[int, ...]
    errors: tuple[int, ...]
    carried: tuple[int, ...]
    own_errors: tuple[int, ...]
    gate: tuple[int, ...]
    shared: tuple[int, ...]
    scaled: int
    staged: int
    work: int
    turned: int
    logits: int
    end: int
    shares: dict[str, tuple[frozenset[int], ...]]


def gate_delay(depth: int, layer: int) -> int:
    """Ticks from when a layer's own activations are made until their errors go through the slope."""
    return 2 * (depth - layer)


def place_words(
    machine: Machine,
    splits: Sequence[Split],
    outputs: int,
    queue: Callable[[int, int], int],
    together: Callable[[int, int], bool],
) -> tuple[Words, tuple[int, ...], int]:
    """The words, and the address registers of the gates and of the scaled activations.

    splits: of layers 1 .. L - 1. together: whether two layers may not share words.
    """
    depth, word = len(splits) + 1, 0

    def take(count: int) -> int:
        nonlocal word
        word += count
        return word - count

    shares: dict[str, tuple[frozenset[int], ...]] = {}

    def shared(what: str, sizes: Sequence[int]) -> tuple[int, ...]:
        at, end = share([0, *sizes], together)
        spans = [range(start, start + size) for start, size in zip(at, [0, *sizes], strict=True)]
        shares[what] = tuple(
            frozenset(k for k, b in enumerate(spans) if k != i and max(a.start, b.start) < min(a.stop, b.stop))
            for i, a in enumerate(spans)
        )
        first = take(end)
        return tuple(first + one for one in at)

    blocks = [len(split.blocks) for split in splits]
    sums = shared("sums", [*(split.padded for split in splits), last_padded(machine, splits[-1], outputs)])
    errors = shared("errors", [*(split.sums for split in splits), outputs])
    carried = shared("carried", [0, *(split.chunk * split.steps + split.uneven for split in splits[1:])])
    own_errors = (0, *(take(count) for count in blocks))
    gate, gates = [0], [0]
    for layer, count in enumerate(blocks, start=1):
        slots = gate_delay(depth, layer) + 1
        gate.append(take(slots * count))
        gates.append(queue(count, slots))
    slots = gate_delay(depth, depth - 1) + 1
    scaled, scaled_queue = take(slots * blocks[-1]), queue(blocks[-1], slots)
    found = Words(
        sums=sums,
        errors=errors,
        carried=carried,
        own_errors=own_errors,
        gate=tuple(gate),
        shared=(0, *(take(count) for count in blocks[:-1])),
        scaled=scaled,
        staged=take(4 * max(split.width for split in splits)),
        work=take(2),
        turned=take(max(block.merged for split in splits for block in split.blocks) - 1),
        logits=take(last_blocks(machine, splits[-1], outputs) * logit_words(machine)),
        end=word,
        shares=shares,
    )
    return found, tuple(gates), scaled_queue


def share(sizes: Sequence[int], together: Callable[[int, int], bool]) -> tuple[list[int], int]:
    """First words of regions of these sizes, and the end of all: the largest first, each where no other is in its way.

    together: whether regions i and j must not overlap.
    """
    at = [0] * len(sizes)
    placed: list[int] = []
    for one in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        others = [k for k in placed if sizes[k] and together(min(one, k), max(one, k))]
        starts = sorted({0, *(at[k] + sizes[k] for k in others)})
        at[one] = next(s for s in starts if all(s + sizes[one] <= at[k] or s >= at[k] + sizes[k] for k in others))
        placed.append(one)
    return at, max(a + size for a, size in zip(at, sizes, strict=True))


def doubling(machine: Machine) -> bool:
    """Whether logits are added over the cores by doubling: their number must be a power of two."""
    return machine.cores > 1 and machine.cores & (machine.cores - 1) == 0


def logit_words(machine: Machine) -> int:
    """Words of a block of logits: the sum so far and the one that comes, or every core's."""
    return 2 if doubling(machine) else machine.cores


def last_bits(machine: Machine, split: Split, outputs: int) -> tuple[list[int], list[int]]:
    """Bits of the lane over which the last layer's partial sums are halved, and those over which they are added whole.

    Lanes that have the same activations, since a block has fewer sums than there are input lanes, are not added.
    """
    distinct = (split.blocks[0].size - 1).bit_length()
    whole = (split.input_lanes - 1).bit_length()
    all_bits = (machine.pes_per_core - 1).bit_length()
    low = distinct if distinct < whole else all_bits
    halved = min(low, (power_of_two_at_least(max(outputs, machine.pe_rows)) - 1).bit_length())
    rest = [*range(halved, distinct), *range(whole, all_bits)] if low < all_bits else [*range(halved, all_bits)]
    return [*range(halved)], rest


def last_blocks(machine: Machine, split: Split, outputs: int) -> int:
    """Blocks of logits, as many as the lanes that the sums are halved over."""
    halved, _ = last_bits(machine, split, outputs)
    return -(-outputs // (1 << len(halved)))


def last_padded(machine: Machine, split: Split, outputs: int) -> int:
    """Words of the last layer's partial sums."""
    halved, _ = last_bits(machine, split, outputs)
    return last_blocks(machine, split, outputs) << len(halved)
