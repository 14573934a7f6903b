"""The paper's mapping for continuous propagation of batches: each layer on cores of its own, a batch a tick."""

from caterpillar.mapping.paper.continuous_batches.place import place_continuous_batches

__all__ = ["place_continuous_batches"]
