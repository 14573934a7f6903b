"""Every error a user can meet, each with the exit status the command line ends with."""

from __future__ import annotations

from functools import partial


class CaterpillarError(Exception):
    """Base of all our errors; the command line prints its message as one line."""

    exit_status = 1


class UsageError(CaterpillarError, ValueError):
    """The request cannot be carried out as it stands: bad argument, field or file. Exit status 2."""

    exit_status = 2


class SpecError(UsageError):
    """A field of a description is out of its limits; the message names field, value and limits."""


class DataError(UsageError):
    """A data file is missing, truncated, oversized, mislabelled or of another format."""


class OutputError(UsageError):
    """An output folder or file exists already, is not ours, or cannot be written."""


class Diverged(CaterpillarError):
    """Training met a NaN or an infinity.

    epoch counts from 1, tick from 0 within the epoch, layer from 1; None where it is not known.
    """

    def __init__(self, *, epoch: int, tick: int, layer: int | None, what: str) -> None:
        place = "" if layer is None else f" in layer {layer}"
        super().__init__(
            f"training diverged: {what}{place}, epoch {epoch}, tick {tick}; try a lower learning rate (--lr)"
        )
        self.epoch = epoch
        self.tick = tick
        self.layer = layer
        self.what = what

    def __reduce__(self) -> tuple[object, ...]:
        """Keyword arguments survive the way between processes."""
        return partial(Diverged, epoch=self.epoch, tick=self.tick, layer=self.layer, what=self.what), ()
