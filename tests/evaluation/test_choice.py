from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from headstart.evaluation.choice import choose, chosen_interval, optimism
from headstart.evaluation.statistics import Tested, interval

COST = {"quick": 10, "medium": 40, "slow": 100}
best = partial(choose, cost=dict.fromkeys("abcd", 1), within=0, at_most=0)


@pytest.mark.parametrize(
    ("quick", "medium", "slow", "taken"),
    [
        (0.80, 0.85, 0.90, "slow"),  # nothing is close
        (0.80, 0.895, 0.90, "medium"),
        (0.893, 0.895, 0.90, "quick"),  # both are
        (0.80, 0.90, 0.895, "medium"),
        (0.88, 0.90, 0.895, "medium"),
    ],
)
def test_a_cheaper_one_is_taken_if_it_is_close_and_costs_half(quick, medium, slow, taken):
    assert choose({"quick": quick, "medium": medium, "slow": slow}, COST, 0.01, 0.5) == taken


def test_one_that_costs_more_than_half_is_not_worth_the_points():
    assert choose({"a": 0.9, "b": 0.899}, {"a": 100, "b": 51}, 0.01, 0.5) == "a"
    assert choose({"a": 0.9, "b": 0.899}, {"a": 100, "b": 51}, 0.01, 1.0) == "b"


def right(rng, images, accuracies):
    return {
        name: Tested.on_one_split(rng.random(images) < share) for name, share in zip("abcd", accuracies, strict=True)
    }


def test_a_clear_winner_owes_nothing_to_luck():
    tested = right(np.random.default_rng(0), 400, (0.9, 0.7, 0.6, 0.5))
    assert chosen_interval(tested, best) == interval(tested["a"])


def test_of_equals_the_luck_of_the_best_is_taken_off():
    rng, before, after = np.random.default_rng(1), [], []
    for _ in range(40):
        tested = right(rng, 100, (0.8,) * 4)
        before.append(max(each.score for each in tested.values()))
        after.append(chosen_interval(tested, best).value)
    assert np.mean(before) > 0.83
    assert abs(np.mean(after) - 0.8) < 0.4 * (np.mean(before) - 0.8)


def test_the_interval_moves_with_the_score_and_keeps_its_width():
    tested = right(np.random.default_rng(2), 100, (0.8,) * 4)
    chosen = max(tested, key=lambda name: tested[name].score)
    plain, found = interval(tested[chosen]), chosen_interval(tested, best)
    assert found.value < plain.value
    assert found.high - found.low == pytest.approx(plain.high - plain.low)
    assert plain.value - found.value == pytest.approx(optimism(tested, best, chosen))


def test_one_candidate_is_not_chosen():
    tested = right(np.random.default_rng(3), 100, (0.8, 0.8, 0.8, 0.8))
    assert chosen_interval({"a": tested["a"]}, best) == interval(tested["a"])


def test_luck_is_reckoned_on_images_that_all_were_tested_on():
    tested = right(np.random.default_rng(4), 100, (0.8,) * 4)
    values = tested["b"].values.copy()
    values[:, 50:] = np.nan
    tested["b"] = Tested(values, np.where(np.isnan(values), -1, 0), tested["b"].units, tested["b"].weights)
    assert 0 < chosen_interval(tested, best).value < 1
