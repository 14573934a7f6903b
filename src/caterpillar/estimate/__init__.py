"""Closed forms: cycles and event counts of a Program on a Machine, in an instant."""

from caterpillar.estimate.paper import SMALL_BATCH, Estimate, estimate
from caterpillar.estimate.storage import Storage, storage

__all__ = ["SMALL_BATCH", "Estimate", "Storage", "estimate", "storage"]
