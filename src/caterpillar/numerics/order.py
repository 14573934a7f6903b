"""The order in which partial sums are added: part of a schedule, and an input of the trainer.

Half-precision addition is not associative, so the trainer gives the machine's bits only if it adds in the
machine's order. A mapping derives an Order from its placement; trainer, simulator and RTL follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Combine = Literal["chain", "tree", "pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """An order said term by term, for sums that a mapping takes up here and there.

    Sum k adds its terms (inputs for a forward sum, outputs for a backward one) as terms[row[k]] lists them, one FMA
    each from +0, into the partial sums that sums[row[k]] lists beside them, below lanes * blocks. The `lanes` partial
    sums of each block are combined by `combine`, then those of the blocks by "tree".

    starts: of one block, combined by "chain", the partial sum with which the chain of sum k begins for sample s of a
    batch: starts[k][s]. It goes on upwards, wrapping round to 0. Empty: with partial sum 0.
    """

    row: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]
    sums: tuple[tuple[int, ...], ...]
    lanes: int = 1
    combine: Combine = "chain"
    blocks: int = 1
    starts: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GemvOrder:
    """How one matrix M (inputs x outputs) is summed, forward (h M) and backward (d M^T).

    bounds: panel p holds outputs bounds[p] .. bounds[p+1] - 1; bounds[0] = 0, bounds[-1] = outputs.
    A panel may be empty.

    Forward, output j of panel p: inputs are visited from forward_first[p] upwards, wrapping round to 0; input i is
    accumulated (one FMA each, from +0) into partial sum i mod forward_lanes; the partial sums are then combined.

    input_bounds cuts the inputs into blocks: block c holds inputs input_bounds[c] .. input_bounds[c+1] - 1, and input i
    of block c goes to partial sum (i - input_bounds[c]) mod forward_lanes. None: one block of all inputs.
    With block_lanes every block has partial sums of its own, combined to the block's sum; the blocks' sums are added,
    upwards from block 0, block c from +0 into block sum c mod block_lanes; these are combined by "tree". None: the
    partial sums run on through all blocks. Blocks with sums of their own are visited from input 0: forward_first is
    None.
    forward_sums names the partial sum of each input instead, below forward_lanes.
    With block_spacing, blocks lie that far apart in the order in which panel p visits them, from block p on: input i of
    block c goes to partial sum (((c - p) mod blocks) block_spacing + i - input_bounds[c]) mod forward_lanes.

    Backward, input i: inside panel p the outputs are visited upwards, output j is accumulated (one FMA each, from +0)
    into partial sum (j - bounds[p]) mod backward_lanes; these are combined to the panel's sum; the panels' sums are
    then added one after the other, from panel backward_first[i] upwards, wrapping round to panel 0.
    backward_sums names the partial sum of each output instead, below backward_lanes.

    combine: "chain" adds partial sums 0, 1, 2, ... one after the other; "tree" halves: with the count padded to a power
    of two by zeros, partial sum k adds k + count/2, until one is left. "pairs", also padded: 2k and 2k + 1 become k.

    forward, backward: in place of all this, term by term.

    forward_first None: all start at 0. backward_first None: all start at panel 0.
    """

    bounds: tuple[int, ...]
    forward_lanes: int = 1
    forward_combine: Combine = "chain"
    forward_first: tuple[int, ...] | None = None
    input_bounds: tuple[int, ...] | None = None
    block_lanes: int | None = None
    forward_sums: tuple[int, ...] | None = None
    block_spacing: int | None = None
    backward_lanes: int = 1
    backward_combine: Combine = "chain"
    backward_first: tuple[int, ...] | None = None
    backward_sums: tuple[int, ...] | None = None
    forward: Visits | None = None
    backward: Visits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order of every matrix: layers[l - 1] for W_l, feedback[l - 1] for B_l (None where a rule has none)."""

    layers: tuple[GemvOrder, ...]
    feedback: tuple[GemvOrder | None, ...]
