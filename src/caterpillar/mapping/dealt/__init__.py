"""`best` for mini-batches, layers cut by outputs and by inputs in turn: what no core owns is dealt to all of them."""

from caterpillar.mapping.dealt.place import can_deal, fits_dealt, place_dealt

__all__ = ["can_deal", "fits_dealt", "place_dealt"]
