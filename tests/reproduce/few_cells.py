"""A reproduction that places two cells and not all sixty."""

from __future__ import annotations

import pytest

from caterpillar.reproduce import executed

FEW: list[executed.Cell] = [("N1", "sgd", "paper"), ("N1", "sgd", "best")]


def place_few(patch: pytest.MonkeyPatch) -> None:
    """From here on."""
    patch.setattr(executed, "cells", lambda: FEW)
