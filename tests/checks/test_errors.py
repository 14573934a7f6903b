"""Errors as objects: what crosses a border between processes."""

from __future__ import annotations

import pickle

from caterpillar.checks import Diverged


def test_diverged_crosses_processes():
    error = Diverged(epoch=2, tick=7, layer=3, what="infinity")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes, as joblib sends them)
    assert (str(copy), copy.epoch, copy.tick, copy.layer) == (str(error), 2, 7, 3)
