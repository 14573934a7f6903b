"""`best` for batches: products of matrices, layer after layer, all cores in lockstep."""

from caterpillar.mapping.batches.place import place_batches

__all__ = ["place_batches"]
