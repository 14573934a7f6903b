"""Published figures that no model here computes, each with the range it could lie in.

All at 45 nm and 0.9 V unless the source says otherwise. What is our derivation or judgement says so.
"""

from __future__ import annotations

from caterpillar.cost.prices import Price

# Half over single precision, energy of an add and a multiply together (Horowitz, ISSCC 2014).
HALF_OVER_SINGLE = (0.4 + 1.1) / (0.9 + 3.7)

# A half-precision multiply-add, pJ: what is published, those of other precisions by that ratio (our derivation).
FMA_PUBLISHED_PJ = {
    "add 0.4 + multiply 1.1, 45 nm, 0.9 V (Horowitz, ISSCC 2014)": 1.5,
    "half-precision FPU, 45 nm (Li and Pedram 2017, Table 1)": 2.63,
    "single-precision FMA of a parameterised generator: 27 GFLOPS/mm2 at 1 W/mm2 in 90 nm, 7 times as much in 45 nm "
    "(Galal and Horowitz 2011), 10.6 pJ": round(2e3 / (7 * 27) * HALF_OVER_SINGLE, 2),
    "single-precision FMA of the same group's generator, 28 nm silicon, 106 GFLOPS/W (FPMax, Pu et al. 2016), 18.9 pJ, "
    "node left as it is": round(2e3 / 106 * HALF_OVER_SINGLE, 2),
}
# Left out of the range: 52 GFLOPS/W of single precision in 32 nm silicon, which is 12.5 pJ by that ratio (Kaul et al.,
# ISSCC 2012): at 1.45 GHz and 1.05 V, with three precisions and a datapath that tracks how certain a result is.

FMA_PJ = Price(
    value=2.63,
    range=(min(FMA_PUBLISHED_PJ.values()), max(FMA_PUBLISHED_PJ.values())),
    source="half-precision FPU, Li and Pedram 2017, Table 1; low: add + multiply, Horowitz ISSCC 2014; high: FPMax, "
    "28 nm silicon, for half precision by Horowitz's figures; between: 3.45, a generator's single-precision FMA at "
    "45 nm (Galal and Horowitz 2011) by the same ratio",
)
HOROWITZ_V = 0.9  # the supply of Horowitz's figures, ISSCC 2014
HOROWITZ_FMA_PJ = Price(
    value=1.5,
    range=(1.5, 2.63),
    source="add 0.4 + multiply 1.1, Horowitz ISSCC 2014; high: Li and Pedram 2017, Table 1",
)
FMA_MM2 = Price(
    value=0.0056,
    range=(0.0030, 0.0063),
    source="half-precision FPU, Li and Pedram 2017, Table 1; low: add 1360 + multiply 1640 um2, Horowitz ISSCC 2014; "
    "high: 4405 um2 of cells of a four-stage FMA synthesised at 45 nm, 70 % of the area filled",
)
FMA_STAGE_NS, FMA_STAGES = 0.70, 4  # that synthesis, at 0.9 V: what a clock cycle must leave

FLIP_FLOP_PJ = Price(
    value=0.0090,
    range=(0.0045, 0.0135),
    source="a clocked bit, 9.0 fJ at 40 nm and 1 GHz, Aladdin (Shao et al. ISCA 2014); range: half as much either "
    "way (our judgement: how often its data change is not said)",
)
STORED_BIT_MM2 = Price(
    value=8.5e-6,
    range=(6.0e-6, 11.8e-6),
    source="flip-flop, 5.98 um2 at 40 nm, Aladdin (Shao et al. ISCA 2014), 70 % of the area filled; low: all of it "
    "filled; high: with the multiplexers of a register file, 1581 um2 of cells for 192 bits in a synthesis at 45 nm",
)
# Its flip-flop leaks 74 nW on 5.98 um2, its 32-bit multiplier 77.9 uW on 6350 um2: the same density.
LOGIC_LEAKAGE_MW_PER_MM2 = Price(
    value=12.3,
    range=(1.2, 24.6),
    source="leakage of flip-flop and multiplier at 40 nm, Aladdin (Shao et al. ISCA 2014); low: a tenth, cells of high "
    "threshold; high: twice, hot (our judgement)",
)

# 16-bit words of a register file of so many words (Pedram et al. 2017, Dark Memory).
REGISTER_FILE_PJ = {16: 0.12, 64: 0.23}
REGISTER_FILE_SOURCE = (
    "16-bit register file of 16 words 0.12, of 64 words 0.23 pJ, Pedram et al. 2017 (Dark Memory), the smaller one for "
    "fewer words; low: half (our judgement); high: the larger one"
)

OUTSIDE_WORD_PJ = Price(
    value=640.0,
    range=(325.0, 650.0),
    source="a 16-bit word from DRAM, Pedram et al. 2017 (Dark Memory); range: a quarter of 1300 to 2600 pJ for 64 "
    "bits, Horowitz ISSCC 2014; the memory's own technology, not scaled with the node",
)

INTEGER_ADD_PJ = Price(
    value=0.05,
    range=(0.03, 0.1),
    source="16-bit integer add, between 0.03 for 8 bits and 0.1 for 32 bits, Horowitz ISSCC 2014 (our derivation)",
)

# 64-bit access to a cache of so many bytes (Horowitz ISSCC 2014).
HOROWITZ_CACHE_PJ = {8 << 10: 10.0, 32 << 10: 20.0, 1 << 20: 100.0}
HOROWITZ_CACHE_SOURCE = "64-bit access of 8 KB 10, 32 KB 20, 1 MB 100 pJ, Horowitz ISSCC 2014"
