"""The paper's mapping: weights dealt to the PEs of square cores in both directions, transposed on the diagonal."""

from caterpillar.mapping.paper.place import place_paper

__all__ = ["place_paper"]
