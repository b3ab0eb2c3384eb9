from __future__ import annotations

import numpy as np
import pytest

from headstart.evaluation.statistics import paired_difference


def test_two_that_agree_everywhere_are_a_tie():
    correct = np.array([1, 0, 1, 1])
    difference = paired_difference(correct, correct)
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    assert difference.is_tie


def test_a_clear_difference_is_none():
    rng = np.random.default_rng(0)
    better, worse = rng.random(2000) < 0.95, rng.random(2000) < 0.85
    difference = paired_difference(better, worse)
    assert not difference.is_tie
    assert difference.mean == pytest.approx(better.mean() - worse.mean())
    assert difference.low < difference.mean < difference.high
    assert paired_difference(worse, better).high < 0


def test_the_interval_covers_the_true_difference_about_95_times_in_100():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        hard = rng.random(500)  # both find the same images hard: what a paired interval is for
        difference = paired_difference(hard < 0.80, hard + 0.05 * rng.standard_normal(500) < 0.78)
        covered += difference.low <= 0.02 <= difference.high
    assert 0.92 <= covered / 400 <= 0.98


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    hard = rng.random(1000)
    a, b = hard < 0.9, hard < 0.88
    paired, shuffled = paired_difference(a, b), paired_difference(a, rng.permutation(b))
    assert paired.high - paired.low < 0.6 * (shuffled.high - shuffled.low)
