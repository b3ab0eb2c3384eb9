"""Which of several candidates to take by score and cost, and how much too good the score of one so taken is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from headstart.evaluation.statistics import Interval, Tested, interval

RESAMPLES, SEED = 500, 1708  # the same each time


def choose(scores: Mapping[str, float], cost: Mapping[str, float], within: float, at_most: float) -> str:
    """The cheapest of those that score at most `within` less than the highest and cost at most `at_most` times as much
    as it; where there is none, the one that scores highest."""
    best = max(scores, key=scores.__getitem__)
    cheaper = [name for name in scores if scores[best] - scores[name] <= within and cost[name] <= at_most * cost[best]]
    return min(cheaper, key=lambda name: (cost[name], -scores[name]), default=best)


def chosen_interval(tested: Mapping[str, Tested], choice: Callable[[Mapping[str, float]], str]) -> Interval:
    """The score of what `choice` takes by all scores, and its interval, both without what having been chosen adds."""
    chosen = choice({name: each.score for name, each in tested.items()})
    plain = interval(tested[chosen])
    excess = optimism(tested, choice, chosen) if len(tested) > 1 else 0.0
    low, high = np.clip([plain.low - excess, plain.high - excess], 0, 1)
    return replace(plain, value=plain.value - excess, low=float(low), high=float(high))


def optimism(tested: Mapping[str, Tested], choice: Callable[[Mapping[str, float]], str], chosen: str) -> float:
    """How much too good the score of `chosen` is, which `choice` took by all scores, on images that all were tested on.

    The bootstrap bias correction of Tsamardinos, Greasidou and Borboudakis 2018, "Bootstrapping the Out-of-sample
    Predictions for Efficient and Accurate Cross-Validation": units are drawn with replacement, one candidate is chosen
    by those drawn and scored by the others, which had no part in the choice. `chosen` is scored by these others too;
    the mean difference is what remains of its lead where luck cannot help, and none where always the same is chosen.
    """
    names = list(tested)
    values = np.stack([each.by_image for each in tested.values()])
    shared = ~np.isnan(values).any(axis=0)
    _, unit = np.unique(tested[chosen].units[shared], return_inverse=True)
    images = np.bincount(unit)
    sums = np.stack([np.bincount(unit, each) for each in values[:, shared]], axis=1)  # (U, candidates)
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(RESAMPLES):
        drawn = rng.multinomial(len(images), np.full(len(images), 1 / len(images)))
        left = drawn == 0
        others = left @ sums / max(1, left @ images)
        best = choice(dict(zip(names, (drawn @ sums / (drawn @ images)).tolist(), strict=True)))
        found.append(others[names.index(chosen)] - others[names.index(best)])
    return max(0.0, float(np.mean(found)))
