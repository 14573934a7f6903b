"""`best` for mini-batches, layers cut by outputs and by inputs in turn: what no core owns is dealt to all of them."""

from caterpillar.mapping.dealt.place import place_dealt

__all__ = ["place_dealt"]
