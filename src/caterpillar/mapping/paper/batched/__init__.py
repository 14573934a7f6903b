"""The paper's mapping for continuous propagation of batches: each layer on cores of its own, a batch a tick."""

from caterpillar.mapping.paper.batched.place import place_batched

__all__ = ["place_batched"]
