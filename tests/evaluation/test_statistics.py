from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from headstart.errors import HeadstartError
from headstart.evaluation.statistics import (
    FOLDS,
    NETWORKS,
    SEEDS,
    Tested,
    accuracy_interval,
    all_differences,
    interval,
    paired_difference,
)

alone = Tested.on_one_split


def folded(values, folds=5, units=None, weights=None):
    """(P, N) or (N,): images dealt out to the folds of each pass, by unit."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    passes, images = values.shape
    units = np.arange(images) if units is None else units
    networks = units % folds + folds * np.arange(passes)[:, None]
    return Tested(values, networks, units, np.ones(images) if weights is None else weights)


def only(tested, seen):
    """What is known while other images than `seen` (N,) wait for their folds."""
    values, networks = np.where(seen, tested.values, np.nan), np.where(seen, tested.networks, -1)
    return Tested(values, networks, tested.units, tested.weights)


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
    differences = [paired_difference(alone(a), alone(b)) for a, b in runs]
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


def test_the_interval_of_a_single_run_by_hand():
    # Bonett and Price 2012: one image more for each side, so 2 and 8 of 23; variance (10 / 23 - (6 / 23) ** 2) / 23
    difference = paired_difference(*map(alone, CHILDREN))
    half = 2.08596 * np.sqrt((10 / 23 - (6 / 23) ** 2) / 23)  # Student's t of 20 degrees of freedom
    assert difference.mean == pytest.approx(-6 / 21)
    assert (difference.low, difference.high) == pytest.approx((-6 / 23 - half, -6 / 23 + half), abs=1e-5)


def test_two_that_agree_everywhere_are_a_tie_but_not_beyond_doubt():
    few, many = (paired_difference(alone(np.ones(images)), alone(np.ones(images))) for images in (100, 10_000))
    assert (few.mean, few.p_value) == (0, 1)
    assert few.is_tie
    assert few.low == -few.high
    assert 0 < 90 * many.high < few.high


def test_a_clear_difference_is_none():
    rng = np.random.default_rng(0)
    better, worse = rng.random(2000) < 0.95, rng.random(2000) < 0.85
    difference = paired_difference(alone(better), alone(worse))
    assert not difference.is_tie
    assert difference.mean == pytest.approx(better.mean() - worse.mean())
    assert difference.low < difference.mean < difference.high
    assert paired_difference(alone(worse), alone(better)).high < 0
    assert paired_difference(alone(worse), alone(better)) == difference.turned()


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    hard = rng.random(1000)
    a, b = hard < 0.9, hard < 0.88
    paired, shuffled = (paired_difference(alone(a), alone(each)) for each in (b, rng.permutation(b)))
    assert paired.high - paired.low < 0.6 * (shuffled.high - shuffled.low)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_p_value_says_at_which_confidence_the_interval_ends_at_zero(seeds):
    (pair,), _ = simulated(1, 400, (0.9, 0.86), seeds, (0.05, 0.05))
    pair = [alone(each) for each in pair]
    p = paired_difference(*pair).p_value
    assert 1e-6 < p < 0.9
    difference = paired_difference(*pair, confidence=1 - p)
    assert min(abs(difference.low), abs(difference.high)) == pytest.approx(0, abs=1e-9)


def test_a_p_value_too_small_to_matter_is_still_a_number():
    assert 0 < paired_difference(alone(np.ones(5000)), alone(np.zeros(5000))).p_value <= 1e-12


def test_a_difference_says_what_it_speaks_of():
    rng = np.random.default_rng(3)
    runs, other = rng.random((3, 500)) < 0.9, rng.random((3, 500)) < 0.8
    assert paired_difference(alone(runs), alone(other)).speaks_of == SEEDS
    assert paired_difference(alone(runs[:1]), alone(other)).speaks_of == NETWORKS
    assert paired_difference(alone(runs[0]), alone(other[0])).speaks_of == NETWORKS
    assert paired_difference(folded(runs), folded(other)).speaks_of == FOLDS


def test_where_only_one_has_several_seeds_their_spread_is_not_forgotten():
    rng = np.random.default_rng(3)
    runs = np.stack([rng.random(500) < share for share in (0.85, 0.9, 0.95)])
    other = alone(rng.random(500) < 0.9)
    both, images_only = paired_difference(alone(runs), other), paired_difference(alone(runs.mean(axis=0)), other)
    assert both.mean == pytest.approx(images_only.mean)
    assert both.high - both.low > 1.5 * (images_only.high - images_only.low)


def test_seeds_that_really_differ_widen_the_interval_and_luck_on_images_does_not():
    rng = np.random.default_rng(4)
    reference = np.tile(rng.random(2000) < 0.9, (3, 1))
    lucky = (1790, 1800, 1812)  # 2,000 draws of 0.9 spread by 13: no more than images explain
    for rights, widened in ((lucky, False), ((1700, 1800, 1900), True)):
        runs = np.stack([rng.permutation(2000) < right for right in rights])
        both = paired_difference(alone(runs), alone(reference))
        images_only = paired_difference(alone(runs.mean(axis=0)), alone(reference[0]))
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
        different = fewer[[not paired_difference(*map(alone, each)).is_tie for each in runs]]
        tails = 2 * binom.pmf(different, discordant, 0.5).sum()
        false_alarms += tails * binom.pmf(discordant, images, discordant_share)
    assert 0 < false_alarms <= 0.05


def test_every_pair_is_compared_the_better_one_first_and_corrected_for_their_number():
    hard = np.random.default_rng(5).random((3, 1000))
    tested = {"low": alone(hard[0] < 0.8), "high": alone(hard[1] < 0.9), "middle": alone(hard[2] < 0.81)}
    pairs = all_differences(tested)
    assert [(pair.better, pair.other) for pair in pairs] == [("high", "low"), ("middle", "low"), ("high", "middle")]
    plain = [paired_difference(tested[pair.better], tested[pair.other]) for pair in pairs]
    assert [pair.difference.mean for pair in pairs] == pytest.approx([each.mean for each in plain])
    assert [pair.difference.p_value for pair in pairs] == pytest.approx([min(1, 3 * each.p_value) for each in plain])
    assert all(pair.difference.high > each.high for pair, each in zip(pairs, plain, strict=True))
    assert all_differences({"alone": tested["low"]}) == []


@pytest.mark.parametrize("lead", [0.02, 0.028, 0.03, 0.04])
def test_an_interval_leaves_zero_out_just_where_its_p_value_is_small_however_many_pairs(lead):
    hard = np.random.default_rng(5).random((4, 1000))
    tested = {str(place): alone(hard[place] < 0.8 + lead * place) for place in range(4)}
    for pair in all_differences(tested):
        assert pair.difference.is_tie == (pair.difference.p_value >= 0.05)


def test_one_of_six_pairs_of_equals_is_called_different_5_times_in_100_at_most():
    rng, alarms = np.random.default_rng(6), 0
    for _ in range(400):
        hard, luck = rng.standard_normal(300), rng.standard_normal((4, 300))
        tested = {str(place): alone(hard + each < 1) for place, each in enumerate(luck)}
        alarms += any(not pair.difference.is_tie for pair in all_differences(tested))
    assert alarms / 400 <= 0.05


def test_a_difference_within_the_margin_is_surely_smaller():
    few, many = (paired_difference(alone(np.ones(images)), alone(np.ones(images))) for images in (100, 10_000))
    assert many.within(0.01)
    assert not few.within(0.01)


def test_the_interval_of_a_share_by_hand():
    # Agresti and Coull 1998: two right and two wrong images more; of 30 right of 40 it is 32 / 44
    found = interval(alone(np.repeat([1, 0], [30, 10])))
    half = 2.02269 * np.sqrt(32 * 12 / 44**3)  # Student's t of 39 degrees of freedom
    assert found.value == 0.75
    assert (found.low, found.high) == pytest.approx((32 / 44 - half, 32 / 44 + half), abs=1e-5)


def test_a_score_stays_between_0_and_1_and_all_right_is_not_beyond_doubt():
    found = interval(alone(np.ones(20)))
    assert found.value == found.high == 1
    assert 0.7 < found.low < 0.95


def test_copies_of_a_picture_count_once():
    rng = np.random.default_rng(7)
    a, b = rng.random((2, 200)) < 0.8
    once = paired_difference(folded(a), folded(b))
    units = np.repeat(np.arange(200), 5)
    copies = [folded(np.repeat(each, 5), units=units) for each in (a, b)]
    found = paired_difference(*copies)
    assert (found.mean, found.low, found.high) == pytest.approx((once.mean, once.low, once.high))
    assert found.p_value == pytest.approx(once.p_value)
    assert interval(copies[0]).low == pytest.approx(interval(folded(a)).low)


def test_folds_widen_an_interval_though_they_agree_and_more_where_they_do_not():
    rng = np.random.default_rng(8)
    a, b = rng.random((2, 500)) < 0.8
    split, folds = paired_difference(alone(a), alone(b)), paired_difference(folded(a), folded(b))
    assert folds.mean == split.mean
    assert 1.1 < (folds.high - folds.low) / (split.high - split.low) < 1.4
    failed = np.where(np.arange(500) % 5 == 0, False, a)  # one of five networks learned nothing
    wider = paired_difference(folded(failed), folded(b))
    assert wider.high - wider.low > 1.5 * (folds.high - folds.low)


def test_only_what_both_were_tested_on_counts():
    rng = np.random.default_rng(9)
    a, b = rng.random((2, 500)) < 0.8
    whole, part = folded(a), folded(b)
    seen = part.networks[0] < 2
    dropped = only(part, seen)
    assert dropped.score == pytest.approx(b[seen].mean())
    found = paired_difference(whole, dropped)
    assert found.mean == pytest.approx(a[seen].mean() - b[seen].mean())
    assert found == paired_difference(dropped, whole).turned()
    assert interval(dropped).value == dropped.score


def test_passes_are_averaged_and_an_answer_of_one_pass_goes_with_each():
    rng = np.random.default_rng(10)
    hard = rng.random(400)
    runs = [(hard + 0.2 * rng.standard_normal((3, 400))) < share for share in (0.8, 0.7)]
    found = paired_difference(*map(folded, runs))
    assert found.mean == pytest.approx(runs[0].mean() - runs[1].mean())
    one = paired_difference(folded(runs[0][0]), folded(runs[1][0]))
    assert found.high - found.low < one.high - one.low
    fixed = alone(hard < 0.5)
    assert paired_difference(folded(runs[0]), fixed).speaks_of == FOLDS
    assert paired_difference(folded(runs[0]), fixed).mean == pytest.approx(runs[0].mean() - fixed.score)


def grouped(rng, groups, each, accuracy=0.8):
    """Two strategies, equally good, whose images of a group go wrong together."""
    units = np.repeat(np.arange(groups), each)
    hard = rng.standard_normal(groups)[units] + 0.3 * rng.standard_normal(groups * each)
    luck = rng.standard_normal((2, groups))[:, units]
    return [
        Tested(np.atleast_2d(each), np.zeros((1, len(units)), int), units, np.ones(len(units)))
        for each in (hard + luck < ndtri(accuracy) * np.sqrt(2.09)).astype(float)
    ]


def test_95_of_100_intervals_hold_where_images_come_in_groups_and_far_fewer_if_that_is_not_known():
    rng = np.random.default_rng(11)
    held, by_image = [], []
    for _ in range(600):
        pair = grouped(rng, 60, 4)
        held.append(paired_difference(*pair).is_tie)
        by_image.append(paired_difference(*(alone(each.values) for each in pair)).is_tie)
    assert np.mean(held) >= 0.93
    assert np.mean(by_image) < 0.8


def test_the_interval_of_unequal_weights_rests_on_the_few_that_weigh_most():
    right = np.ones(210)
    right[[0, 205]] = 0
    weights = np.repeat([0.525, 10.5], [200, 10])  # 200 of one class, 10 of another, each worth a half
    values = 1 + weights * (right - np.repeat([0.995, 0.9], [200, 10]))
    balanced = Tested(values[None], np.zeros((1, 210), int), np.arange(210), weights)
    found, plain = interval(balanced), interval(alone(right))
    assert found.high - found.low > 4 * (plain.high - plain.low)


def test_seeds_widen_an_interval_also_where_some_of_the_folds_are_tested_alone():
    rng = np.random.default_rng(11)
    accuracies = np.array([[0.9], [0.6], [0.3]])
    runs, seen = rng.random((2, 3, 1000)) < accuracies, np.arange(1000) < 200
    whole = paired_difference(*(alone(each[:, seen]) for each in runs))
    found = paired_difference(*(only(alone(each), seen) for each in runs))
    assert (found.low, found.high) == pytest.approx((whole.low, whole.high))


def test_two_that_no_image_was_tested_by_are_named():
    seen, all_right = np.arange(10) < 5, alone(np.ones(10))
    one, other = only(all_right, seen), only(all_right, ~seen)
    with pytest.raises(HeadstartError, match="frozen and last20 were tested on no image in common"):
        all_differences({"frozen": one, "last20": other})
