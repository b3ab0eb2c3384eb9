from __future__ import annotations

import numpy as np

from headstart.evaluation.race import clearly_behind
from headstart.evaluation.statistics import Tested


def two_of_five_folds(accuracies, images=300, seed=0):
    """What is known of candidates, mostly right on the same images, once two folds are done."""
    folds = np.arange(images) % 5
    hard = np.random.default_rng(seed).random(images)
    noise = np.random.default_rng(seed + 1).random((len(accuracies), images)) < 0.02
    known = folds < 2
    return {
        name: Tested(
            np.where(known, (hard < share) ^ flips, np.nan)[None],
            np.where(known, folds, -1)[None],
            np.arange(images),
            np.ones(images),
        )
        for (name, share), flips in zip(accuracies.items(), noise, strict=True)
    }


def test_one_that_is_far_behind_is_given_up_after_two_folds():
    assert clearly_behind(two_of_five_folds({"good": 0.9, "bad": 0.5, "close": 0.89}), 3) == ["bad"]


def test_a_small_lead_gives_nobody_up_however_sure():
    assert clearly_behind(two_of_five_folds({"a": 0.9, "b": 0.885}, images=20_000), 2) == []


def test_a_lead_that_may_be_luck_gives_nobody_up():
    assert clearly_behind(two_of_five_folds({"a": 0.9, "b": 0.85}, images=60), 2) == []
