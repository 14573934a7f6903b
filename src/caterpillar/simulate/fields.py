"""Columns of the control word's fields, for compiled code."""

from __future__ import annotations

import numpy as np

from caterpillar.mapping import isa
from caterpillar.mapping.isa import COLUMN_OF

A_OP, A_ADDRESS, A_SLOT = (COLUMN_OF[name] for name in isa.UNITS["mem_a"][:3])
B_FIELDS = np.array([[COLUMN_OF[name] for name in isa.UNITS[unit]] for unit in ("mem_b0", "mem_b1")])
FMA, FMA_A, FMA_B, FMA_C, FMA_TO, FMA_FLAGS, FMA_GATE = (COLUMN_OF[name] for name in isa.UNITS["fma"])
ROW_FROM, ROW_COLUMN, ROW_SLOT, ROW_TO, ROW_MASK, ROW_SEND, ROW_ADDRESS = (
    COLUMN_OF[name] for name in isa.UNITS["row_bus"][:7]
)
COLUMN_ON, COLUMN_ROW, COLUMN_SLOT = (COLUMN_OF[name] for name in isa.UNITS["column_bus"])
LINK_ON, LINK_BIT, LINK_SLOT = (COLUMN_OF[name] for name in isa.UNITS["link"])
SOFTMAX_ON, SOFTMAX_LABEL = COLUMN_OF["softmax_on"], COLUMN_OF["softmax_label"]
