"""The paper's mapping for continuous propagation: each layer on cores of its own, in proportion to its size."""

from caterpillar.mapping.paper.continuous.place import place_continuous

__all__ = ["place_continuous"]
