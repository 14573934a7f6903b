"""`best` for continuous propagation: all layers in one tick, on all cores in turn."""

from caterpillar.mapping.pipeline.place import place_pipeline

__all__ = ["place_pipeline"]
