"""Which candidates need not be trained on the folds that are left."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headstart.evaluation.statistics import Tested, paired_difference

BEHIND = 0.03  # of the score
DOUBT = 0.05  # how often, over all pairs of candidates, one that is as good as the best may seem worse


def clearly_behind(tested: Mapping[str, Tested], candidates: int) -> list[str]:
    """Those that score more than BEHIND less than the best, on what both were tested on, and surely less: at p < DOUBT,
    corrected for the pairs of so many candidates as the verdict has it, those included that were given up before.

    To be asked after each fold; after the first it speaks of one network each. Even-Dar, Mannor and Mansour 2006,
    "Action Elimination and Stopping Conditions"; bench/few_images.py measures how often the best is kept and what is
    saved.
    """
    best = max(tested, key=lambda name: tested[name].score)
    found = []
    for name in tested:
        difference = paired_difference(tested[best], tested[name])
        if name != best and difference.mean > BEHIND and difference.p_value * math.comb(candidates, 2) < DOUBT:
            found.append(name)
    return found
