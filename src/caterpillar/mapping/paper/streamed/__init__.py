"""The paper's mapping where weights do not fit MEM A: the rest streams from core SRAM, one sample at a time."""

from caterpillar.mapping.paper.streamed.place import place_streamed

__all__ = ["place_streamed"]
