"""`best` for mini-batches where the PEs' memories do not hold all: tiles of weights come from the core SRAM."""

from caterpillar.mapping.tiled.place import TILED, place_tiled

__all__ = ["TILED", "place_tiled"]
