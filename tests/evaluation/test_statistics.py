from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from headstart.evaluation.scores import evaluate
from headstart.evaluation.statistics import (
    accuracy_interval,
    all_differences,
    holm,
    macro_intervals,
    mcnemar,
    paired_difference,
)


def two_runs(both, only_a, only_b, neither):
    """What two classifiers got right, from the four counts of images."""
    a = np.repeat([1, 1, 0, 0], [both, only_a, only_b, neither])
    return a, np.repeat([1, 0, 1, 0], [both, only_a, only_b, neither])


# Airway hyper-responsiveness of 21 children before and after a transplantation: an example of Fagerland, Lydersen and
# Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact conditional".
CHILDREN = two_runs(1, 1, 7, 12)


def simulated(comparisons, images, accuracies, seeds=1, seed_spread=(0.0, 0.0), alike=0.8, rng_seed=0):
    """Many pairs of strategies on test sets of their own, and the true difference between the two of each pair.

    An image is classified rightly where its difficulty (most of it shared by the two strategies: `alike`, and by all
    seeds of one) and some luck of the seed stay below a threshold. Seeds differ in that threshold by `seed_spread`.
    """
    rng = np.random.default_rng(rng_seed)
    thresholds = ndtri(accuracies)
    truth = np.subtract(*ndtr(thresholds / np.sqrt(1 + np.square(seed_spread))))

    def draw(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    def runs():
        for _ in range(comparisons):
            shared = draw(1, images)
            yield tuple(
                np.sqrt(0.8) * (np.sqrt(alike) * shared + np.sqrt(1 - alike) * draw(1, images))
                + np.sqrt(0.2) * draw(seeds, images)
                < threshold + spread * draw(seeds, 1)
                for threshold, spread in zip(thresholds, seed_spread, strict=True)
            )

    return runs(), truth


def coverage(runs, truth):
    differences = [paired_difference(a, b) for a, b in runs]
    return np.mean([difference.low <= truth <= difference.high for difference in differences])


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_of_published_examples(right, images, low, high):
    # Newcombe 1998, "Two-sided Confidence Intervals for the Single Proportion", table I, method 3
    interval = accuracy_interval(right, images)
    assert interval.value == right / images
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_mcnemars_exact_test_of_a_published_example():
    result = mcnemar(*CHILDREN)
    assert (result.only_a, result.only_b) == (1, 7)
    assert result.p_value == pytest.approx(2 * (1 + 8) / 2**8)  # 0.0703, as published


def test_two_that_err_on_the_same_images_are_no_evidence_of_a_difference():
    assert mcnemar([1, 0, 1], [1, 0, 1]).p_value == 1
    assert mcnemar(*two_runs(5, 3, 3, 5)).p_value == 1


@pytest.mark.parametrize("discordant", [6, 14, 35])
def test_mcnemars_false_alarms_are_no_more_than_promised(discordant):
    alarms = [mcnemar(*two_runs(0, a, discordant - a, 0)).p_value <= 0.05 for a in range(discordant + 1)]
    assert 0 < binom.pmf(np.flatnonzero(alarms), discordant, 0.5).sum() <= 0.05


def test_holms_correction_of_a_textbook_example():
    # four p-values whose smallest two are called different at 0.05; by hand: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04
    # is not let below the one before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == pytest.approx([1, 1])
    assert holm([0.02]) == pytest.approx([0.02])


def test_the_interval_of_a_single_run_by_hand():
    # Bonett and Price 2012: one image more for each side, so 2 and 8 of 23; variance (10 / 23 - (6 / 23) ** 2) / 23
    difference = paired_difference(*CHILDREN)
    half = 2.08596 * np.sqrt((10 / 23 - (6 / 23) ** 2) / 23)  # Student's t of 20 degrees of freedom
    assert difference.mean == pytest.approx(-6 / 21)
    assert (difference.low, difference.high) == pytest.approx((-6 / 23 - half, -6 / 23 + half), abs=1e-5)


def test_two_that_agree_everywhere_are_a_tie_but_not_beyond_doubt():
    few, many = (paired_difference(np.ones(images), np.ones(images)) for images in (100, 10_000))
    assert (few.mean, few.p_value) == (0, 1)
    assert few.is_tie
    assert few.low == -few.high
    assert 0 < 90 * many.high < few.high


def test_a_clear_difference_is_none():
    rng = np.random.default_rng(0)
    better, worse = rng.random(2000) < 0.95, rng.random(2000) < 0.85
    difference = paired_difference(better, worse)
    assert not difference.is_tie
    assert difference.mean == pytest.approx(better.mean() - worse.mean())
    assert difference.low < difference.mean < difference.high
    assert paired_difference(worse, better).high < 0


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    hard = rng.random(1000)
    a, b = hard < 0.9, hard < 0.88
    paired, shuffled = paired_difference(a, b), paired_difference(a, rng.permutation(b))
    assert paired.high - paired.low < 0.6 * (shuffled.high - shuffled.low)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_p_value_says_at_which_confidence_the_interval_ends_at_zero(seeds):
    (pair,), _ = simulated(1, 400, (0.9, 0.86), seeds, (0.05, 0.05))
    p = paired_difference(*pair).p_value
    assert 1e-6 < p < 0.9
    difference = paired_difference(*pair, confidence=1 - p)
    assert min(abs(difference.low), abs(difference.high)) == pytest.approx(0, abs=1e-9)


def test_a_p_value_too_small_to_matter_is_still_a_number():
    assert 0 < paired_difference(np.ones(5000), np.zeros(5000)).p_value <= 1e-12


def test_one_seed_speaks_of_images_only():
    rng = np.random.default_rng(3)
    runs = rng.random((3, 500)) < 0.9
    assert paired_difference(runs, ~runs).over_seeds
    assert not paired_difference(runs[:1], runs[1:]).over_seeds
    assert not paired_difference(runs[0], runs[1]).over_seeds
    assert paired_difference(runs[:1], runs[1:]) == paired_difference(runs[0], runs[1:].mean(axis=0))


def test_seeds_that_really_differ_widen_the_interval_and_luck_on_images_does_not():
    rng = np.random.default_rng(4)
    reference = np.tile(rng.random(2000) < 0.9, (3, 1))
    lucky = (1790, 1800, 1812)  # 2,000 draws of 0.9 spread by 13: no more than images explain
    for rights, widened in ((lucky, False), ((1700, 1800, 1900), True)):
        runs = np.stack([rng.permutation(2000) < right for right in rights])
        both = paired_difference(runs, reference)
        images_only = paired_difference(runs.mean(axis=0), reference[0])
        assert (both.high - both.low > 2 * (images_only.high - images_only.low)) == widened
        if not widened:
            assert (both.low, both.high) == pytest.approx((images_only.low, images_only.high))


def test_with_one_seed_95_of_100_intervals_hold_the_true_difference():
    assert 0.93 <= coverage(*simulated(3000, 1000, (0.90, 0.88))) <= 0.97


@pytest.mark.parametrize("seed_spread", [(0.05, 0.1), (0.1, 0.1), (0.2, 0.2)])
def test_with_three_seeds_95_of_100_intervals_hold_the_true_difference(seed_spread):
    assert 0.93 <= coverage(*simulated(3000, 500, (0.90, 0.88), 3, seed_spread)) <= 0.97


def test_an_interval_over_images_alone_would_miss_what_seeds_do():
    runs, truth = simulated(1000, 500, (0.90, 0.88), 3, (0.2, 0.2))
    assert coverage(((a.mean(axis=0), b.mean(axis=0)) for a, b in runs), truth) < 0.8


@pytest.mark.parametrize("seed_spread", [(0.0, 0.0), (0.1, 0.1)])
@pytest.mark.parametrize("alike", [0.8, 1.0])
def test_three_seeds_of_equal_strategies_are_called_different_5_times_in_100_at_most(seed_spread, alike):
    assert coverage(*simulated(3000, 500, (0.90, 0.90), 3, seed_spread, alike)) >= 0.95


@pytest.mark.parametrize("discordant_share", [0.05, 0.1, 0.2])
def test_single_runs_of_equal_strategies_are_called_different_5_times_in_100_at_most(discordant_share):
    images, false_alarms = 200, 0.0
    for discordant in range(int(binom.ppf(1 - 1e-6, images, discordant_share)) + 1):  # each outcome, with its weight
        fewer = np.arange(discordant // 2 + 1)  # only A's, then as often only B's
        runs = [two_runs(images - discordant, only_a, discordant - only_a, 0) for only_a in fewer]
        different = fewer[[not paired_difference(*each).is_tie for each in runs]]
        tails = 2 * binom.pmf(different, discordant, 0.5).sum()
        false_alarms += tails * binom.pmf(discordant, images, discordant_share)
    assert 0 < false_alarms <= 0.05


def test_every_pair_is_compared_the_better_one_first_and_corrected_for_their_number():
    hard = np.random.default_rng(5).random((3, 1000))
    pairs = all_differences({"low": hard < 0.8, "high": hard < 0.9, "middle": hard < 0.81})
    assert [(pair.better, pair.other) for pair in pairs] == [("high", "low"), ("middle", "low"), ("high", "middle")]
    assert all(pair.difference.mean > 0 for pair in pairs)
    raw = [pair.difference.p_value for pair in pairs]
    assert [pair.adjusted_p for pair in pairs] == pytest.approx(list(holm(raw)))
    assert pairs[0].difference == paired_difference(hard < 0.9, hard < 0.8)
    assert all_differences({"alone": hard < 0.9}) == []


def small_test_set(rng, images, classes=3, right=0.8):
    labels = rng.integers(0, classes, images)
    return labels, np.where(rng.random(images) < right, labels, rng.integers(0, classes, images))


def counted(labels, predicted, classes=3):
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return confusion


def test_macro_scores_are_those_of_the_evaluation_inside_their_intervals():
    labels, predicted = small_test_set(np.random.default_rng(6), 60, classes=4)
    predicted[predicted == 2] = 1  # a class that is never predicted
    scores = evaluate(5.0 * np.eye(4)[predicted], labels, "abcd")
    for name, interval in macro_intervals(np.array(scores["confusion_matrix"])).items():
        assert interval.value == pytest.approx(scores[name])
        assert 0 <= interval.low < interval.value < interval.high <= 1


def test_95_of_100_intervals_hold_the_macro_f1_of_other_test_sets_of_the_same_size():
    rng = np.random.default_rng(7)
    sets = [counted(*small_test_set(rng, 200)) for _ in range(500)]
    intervals = [macro_intervals(confusion, resamples=400)["f1_macro"] for confusion in sets]
    truth = np.mean([interval.value for interval in intervals])
    assert 0.92 <= np.mean([interval.low <= truth <= interval.high for interval in intervals]) <= 0.98


def test_the_interval_holds_the_score_also_where_classes_have_few_images():
    labels, predicted = small_test_set(np.random.default_rng(8), 900, classes=300)
    interval = macro_intervals(counted(labels, predicted, classes=300))["f1_macro"]
    assert interval.low < interval.value < interval.high


def test_intervals_are_the_same_each_time_and_narrow_with_the_test_set():
    confusion = counted(*small_test_set(np.random.default_rng(9), 100))
    once, again, larger = macro_intervals(confusion), macro_intervals(confusion), macro_intervals(100 * confusion)
    assert once == again
    assert larger["f1_macro"].value == once["f1_macro"].value
    wide, narrow = (each["f1_macro"].high - each["f1_macro"].low for each in (once, larger))
    assert 8 < wide / narrow < 12
