"""The default learning rates, as the study's search chose them: text for train/learning_rates.toml."""

from __future__ import annotations

from collections.abc import Sequence

from caterpillar.reproduce.study.plan import STUDY
from caterpillar.reproduce.study.run import Record, choose_rates

HEAD = """\
# Learning rates that `caterpillar train` takes where none is given. Written by `caterpillar reproduce --full`.
source = '''
Chosen on 5,000 training images held back, never on the test images: of six rates around {base:g} b^{exponent:g}, b the
batch, the one with the best mean accuracy over the later half of a short run on 6,000 MNIST images. Every run is on
record in reproduce/study/results.parquet (purpose "search").
'''

# A rule without an entry for its network gets base x batch ^ batch_exponent x (1 - momentum), the middle of the search:
# the mean gradient of a larger batch is less noisy and bears a larger step, and a velocity is 1 / (1 - momentum)
# gradients long.
[fallback]
base = {base:g}
batch_exponent = {exponent:g}

# Some rules bear less. fa on 500-500-500-10, by hand, ten epochs: 0.0013, 0.0025, 0.005 gave 91.4, 88.9 and 85.5 % of
# the images held back; lower rates were not tried.
[fallback.factors]
fa = 0.25

# [rates."NETWORK"]: label of a rule without momentum = learning rate
"""


def learning_rates_toml(records: Sequence[Record]) -> str:
    """The whole file, from the records of the search; methods with momentum are left to the fallback's law."""
    chosen = choose_rates(records)
    text = HEAD.format(base=STUDY.base_rate, exponent=STUDY.rate_exponent)
    for load in STUDY.workloads:
        rates = [
            (method.label, chosen[load.network, method.label])
            for method in load.methods
            if not method.momentum and (load.network, method.label) in chosen
        ]
        if rates:
            text += f'\n[rates."{load.network}"]\n'
            text += "".join(f"{label} = {rate:g}\n" for label, rate in rates)
    return text
