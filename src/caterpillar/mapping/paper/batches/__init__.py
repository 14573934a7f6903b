"""Mapping `paper` for batches: the paper's placement, and collectives beside the products that they serve."""

from caterpillar.mapping.paper.batches.place import place_batches

__all__ = ["place_batches"]
