from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.evaluation.learning_curve import crossing, fit_learning_curve

SIZES = np.array([500, 1000, 2000, 5000, 10_000, 20_000])
TEST_IMAGES = 10_000
SIMULATED = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "curve.py"))


def accuracy(n, a, b, c):
    return 1 - (a * np.asarray(n, float) ** -b + c)


@pytest.mark.parametrize(("a", "b", "c"), [(2.0, 0.35, 0.02), (5.0, 0.5, 0.0), (1.0, 0.2, 0.01), (40.0, 0.9, 0.03)])
def test_a_power_law_is_recovered(a, b, c):
    curve = fit_learning_curve(SIZES, accuracy(SIZES, a, b, c), TEST_IMAGES)
    assert curve.exponent == pytest.approx(b, rel=1e-3)
    assert curve.floor == pytest.approx(c, abs=1e-4)
    assert curve.drop * curve.largest**curve.exponent == pytest.approx(a, rel=1e-2)
    assert curve.accuracy(60_000).value == pytest.approx(accuracy(60_000, a, b, c), abs=1e-4)


@pytest.mark.parametrize("sizes", [1, 2, 3])
def test_fewer_than_four_sizes_carry_no_law(sizes):
    n = np.repeat(SIZES[:sizes], 4)
    with pytest.raises(HeadstartError, match=f"from 4 training sizes at least, found {sizes}"):
        fit_learning_curve(n, accuracy(n, 5, 0.5, 0), TEST_IMAGES)


def test_small_sizes_that_follow_no_law_bend_nothing():
    measured = accuracy(SIZES, 2, 0.35, 0.02)
    measured[:2] = 0.1
    assert fit_learning_curve(SIZES, measured, TEST_IMAGES).exponent == pytest.approx(0.35, rel=1e-3)


def test_the_images_for_one_more_point_by_hand():
    sizes = [300, 1000, 3000, 10_000]
    curve = fit_learning_curve(sizes, accuracy(sizes, 8, 0.5, 0), TEST_IMAGES)  # error 0.08 at 10,000
    answer = curve.more_images()
    assert answer.images == pytest.approx((8 / 0.07) ** 2 - 10_000, abs=5)
    assert answer.low < answer.images < answer.high
    assert curve.more_images(2).images == pytest.approx((8 / 0.06) ** 2 - 10_000, abs=10)


def test_no_number_is_given_beyond_three_times_the_largest_size():
    sizes = [300, 1000, 3000, 10_000]
    curve = fit_learning_curve(sizes, accuracy(sizes, 2, 0.5, 0), TEST_IMAGES)  # 0.01 less takes 40,000 images
    answer = curve.more_images()
    assert answer.images is None
    assert answer.high is None
    assert answer.beyond == 20_000
    assert curve.more_images(0.5).images == pytest.approx((2 / 0.015) ** 2 - 10_000, abs=20)
    assert curve.accuracy(30_000) is not None
    assert curve.accuracy(30_001) is None


def test_a_point_below_the_floor_is_never_promised():
    curve = fit_learning_curve(SIZES, accuracy(SIZES, 40, 0.9, 0.03), TEST_IMAGES)  # 0.5 points left to gain
    assert (curve.more_images().images, curve.more_images().high) == (None, None)


def test_a_curve_that_does_not_rise_promises_nothing():
    curve = fit_learning_curve([500, 1000, 2000, 4000], [0.80, 0.80, 0.80, 0.79], TEST_IMAGES)
    assert curve.more_images().images is None
    assert curve.accuracy(4000).value == pytest.approx(0.79)


def test_a_perfect_accuracy_can_be_fitted():
    curve = fit_learning_curve([100, 200, 400, 800], [0.96, 0.98, 1.0, 1.0], test_images=50)
    assert curve.more_images().images is None
    assert 0.98 < curve.accuracy(1600).value <= 1


def test_runs_that_scatter_or_a_small_test_set_make_the_answer_less_sure():
    def width(accuracies, test_images):
        interval = fit_learning_curve(np.repeat(SIZES, 2), accuracies, test_images).accuracy(40_000)
        return interval.high - interval.low

    exact = np.repeat(accuracy(SIZES, 2, 0.35, 0.02), 2)
    scattered = exact + np.tile([-0.04, 0.04], len(SIZES))
    assert width(scattered, TEST_IMAGES) > 1.5 * width(exact, TEST_IMAGES)
    assert width(exact, 500) > 1.5 * width(exact, TEST_IMAGES)


@pytest.mark.parametrize(
    ("sizes", "seeds", "spread", "test_images"),
    [("four", 1, 0.01, 300), ("four near", 3, 0.003, 1000), ("six", 3, 0.0, 10_000)],
)
def test_the_intervals_hold_what_curves_of_any_kind_go_on_to(sizes, seeds, spread, test_images):
    n = np.repeat(SIMULATED["SIZES"][sizes], seeds)
    found = [SIMULATED["coverage"](truth, n, spread, test_images, repetitions=8) for truth in SIMULATED["TRUTHS"]]
    for what in ("held_1.5", "held_2", "held_3", "held_point"):
        held = [each[what] for each in found]
        assert np.mean(held) > 93
        assert np.min(held) > 70


def test_what_was_measured_with_the_largest_size_stands_though_the_law_does_not_hold():
    measured = [0.51, 0.67, 0.76, 0.86, 0.93]  # deep-cnn with 300 to 45,000 images of CIFAR-10
    answer = fit_learning_curve([300, 1000, 3000, 10_000, 45_000], measured, TEST_IMAGES).accuracy(60_000)
    assert 0.905 < answer.low < 0.93 < answer.value < 0.95 < answer.high


def test_the_same_measurements_give_the_same_answer():
    measured = accuracy(SIZES, 2, 0.35, 0.02)
    first, second = (fit_learning_curve(SIZES, measured, TEST_IMAGES) for _ in range(2))
    assert first.more_images() == second.more_images()


def test_the_crossing_is_found_on_a_logarithmic_scale():
    found = crossing([100, 10_000], [0.5, 0.9], [100, 10_000], [0.7, 0.7])
    assert found.images == 1000  # halfway from 100 to 10,000
    assert (found.smallest, found.largest) == (100, 10_000)
    assert not found.from_the_start


def test_seeds_are_averaged_and_curves_may_be_measured_at_other_sizes():
    found = crossing([10_000, 100, 100], [0.9, 0.4, 0.6], [10, 1000, 100_000], [0.7, 0.7, 0.7])
    assert found.images == 1000
    assert (found.smallest, found.largest) == (100, 10_000)


def test_a_curve_that_stays_behind_does_not_catch_up_within_the_data():
    found = crossing([100, 1000], [0.5, 0.6], [100, 1000], [0.7, 0.7])
    assert found.images is None
    assert not found.from_the_start


def test_a_curve_that_is_never_behind_was_level_from_the_start():
    found = crossing([100, 1000], [0.7, 0.8], [100, 1000], [0.7, 0.7])
    assert found.images == 100
    assert found.from_the_start


def test_a_lead_that_is_lost_again_is_no_catching_up():
    other = [0.7] * 4
    sizes = [100, 1000, 10_000, 100_000]
    assert crossing(sizes, [0.6, 0.8, 0.6, 0.8], sizes, other).images == pytest.approx(10_000 * math.sqrt(10), abs=1)
    assert crossing(sizes, [0.6, 0.8, 0.8, 0.6], sizes, other).images is None


def test_curves_without_a_common_size_are_an_error():
    with pytest.raises(HeadstartError, match="ends at 200 training images"):
        crossing([100, 200], [0.5, 0.6], [1000, 2000], [0.5, 0.6])
