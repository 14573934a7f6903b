"""Closed forms: cycles and event counts of a Program on a Machine, in an instant."""

from caterpillar.estimate.paper import SMALL_BATCH, Estimate, closed_form, estimate, pass_starts
from caterpillar.estimate.storage import Storage, storage, storage_demands

__all__ = ["SMALL_BATCH", "Estimate", "Storage", "closed_form", "estimate", "pass_starts", "storage", "storage_demands"]
