"""`best` for single samples where the PEs' memories do not hold all: weights stream from the core SRAMs."""

from caterpillar.mapping.streamed.place import place_streamed

__all__ = ["place_streamed"]
