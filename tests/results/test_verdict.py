from __future__ import annotations

import json

import numpy as np
import pytest

from headstart.evaluation.statistics import Tested
from headstart.results.verdict import beside, decide, front

IMAGES = 2000


def candidate(accuracy, seed=0, seeds=1, folds=0, images=IMAGES, flipped=0.01):
    """A candidate that is right on about that share: the same hard images for everyone, so that pairs are compared
    closely. On one split, or in folds."""
    shares = np.random.default_rng(99).permutation(images) / images
    flips = np.random.default_rng(seed).random((seeds, images)) < flipped
    found = Tested.on_one_split((shares < accuracy) ^ flips)
    networks = np.arange(images) % folds + folds * np.arange(seeds)[:, None] if folds else found.networks
    return Tested(found.values, networks, found.units, found.weights)


def cost(fit, latency=1.0, size=1.0):
    return {"fit_seconds": fit, "latency_ms": latency, "size_mb": size}


TESTED = {
    "base-cnn": candidate(0.80, 1, folds=5),
    "deep-cnn": candidate(0.92, 2, folds=5),
    "frozen": candidate(0.90, 3, folds=5),
    "last20": candidate(0.95, 4, folds=5),
}
COSTS = {
    "base-cnn": cost(50, 1, 2),
    "deep-cnn": cost(900, 3, 8),
    "frozen": cost(200, 15, 17),
    "last20": cost(800, 16, 14),
}
PRETRAINED = {"frozen", "last20"}


def alternative(verdict, name):
    return next(each for each in verdict.alternatives if each.strategy == name)


def test_a_clear_winner_is_taken_and_is_surely_better():
    verdict = decide(TESTED, COSTS, PRETRAINED)
    assert verdict.take == "last20"
    assert verdict.said.startswith("last20 has the highest accuracy: 94.")
    assert verdict.doubt.startswith("last20 is surely better than deep-cnn, by 2.9")
    assert verdict.doubt.endswith(", and than frozen and base-cnn.")
    assert [each.relation for each in verdict.alternatives] == ["worse"] * 3
    frozen = alternative(verdict, "frozen")
    assert frozen.difference.low > 0
    assert frozen.ratios["fit_seconds"] == pytest.approx(4.0)
    assert "worse by" in frozen.said and "0.2 times the time to fit" in frozen.said
    assert "gives a head start of" in verdict.head_start and "over deep-cnn" in verdict.head_start


def test_a_cheaper_one_is_taken_for_a_small_difference_and_the_difference_is_told():
    verdict = decide({"frozen": candidate(0.90, 3, folds=5), "last20": candidate(0.907, 3, folds=5)}, COSTS, PRETRAINED)
    assert verdict.take == "frozen"
    assert verdict.said.startswith("last20 has the highest accuracy, 90.")
    assert "frozen is only 0.7 points below and takes 0.2 times the time to fit: take frozen, 89." in verdict.said
    assert verdict.doubt.startswith("last20 is surely better than frozen, by 0.70 points (95 % interval 0.")


def test_one_that_is_not_close_is_not_taken_though_it_cannot_be_told_apart():
    few = {"frozen": candidate(0.85, 3, folds=5, images=40), "last20": candidate(0.925, 4, folds=5, images=40)}
    verdict = decide(few, COSTS, PRETRAINED)
    assert verdict.take == "last20"
    assert alternative(verdict, "frozen").relation == "open"
    assert verdict.doubt.startswith("These images do not tell last20 from frozen: it is 10.0 points (95 % interval -")
    assert verdict.doubt.endswith(" above frozen.")
    assert "gives a head start" not in verdict.head_start


def test_what_is_surely_less_than_the_margin_apart_is_equal():
    close = {
        "frozen": candidate(0.90, 3, folds=5, flipped=0.001),
        "last20": candidate(0.9015, 4, folds=5, flipped=0.001),
    }
    verdict = decide(close, COSTS, PRETRAINED)
    assert verdict.take == "frozen"
    assert verdict.doubt.startswith("frozen and last20 are equal within 1 point: it is 0.")
    assert alternative(verdict, "last20").relation == "tie"
    narrow = decide(close, COSTS, PRETRAINED, margin=0.001)
    assert (narrow.take, alternative(narrow, "frozen").relation) == ("last20", "open")


def test_of_one_split_and_one_seed_the_networks_are_spoken_of():
    verdict = decide(
        {
            name: candidate(share, share_seed)
            for share_seed, (name, share) in enumerate({"deep-cnn": 0.80, "last20": 0.95}.items())
        },
        COSTS,
        PRETRAINED,
    )
    assert verdict.doubt.startswith("last20's network is surely better than deep-cnn's network, by")
    assert verdict.doubt.endswith(
        "That is said of these networks, each trained once; folds or more seeds tell of the strategies."
    )
    assert verdict.head_start.endswith("over deep-cnn's network.")
    seeds = decide({"deep-cnn": candidate(0.8, 1, 3), "last20": candidate(0.95, 2, 3)}, COSTS, PRETRAINED)
    assert "network" not in seeds.doubt


@pytest.mark.parametrize(
    ("prefer", "taken"), [("accuracy", "last20"), ("fit-time", "frozen"), ("latency", "deep-cnn"), ("size", "deep-cnn")]
)
def test_a_preference_takes_the_cheapest_of_those_that_are_close(prefer, taken):
    shares = {"base-cnn": 0.80, "deep-cnn": 0.94, "frozen": 0.939, "last20": 0.955}
    verdict = decide(
        {name: candidate(share, 1, folds=5) for name, share in shares.items()}, COSTS, PRETRAINED, prefer=prefer
    )
    assert verdict.take == taken
    assert verdict.prefer == prefer
    if prefer != "accuracy":
        assert "of those within 2 points of the highest accuracy (last20 has it, 9" in verdict.said
        assert verdict.doubt.startswith("last20 is surely better than")


LARGEST = "always the largest class"


def test_a_strategy_that_is_not_surely_better_than_a_trivial_answer_has_learned_nothing():
    trivial = {LARGEST: candidate(0.80, 7), "the nearest class mean": candidate(0.5, 8)}
    verdict = decide(TESTED, COSTS, PRETRAINED, trivial=trivial)
    assert verdict.learned.startswith(
        f"base-cnn has learned nothing that shows: it is not surely better than {LARGEST}, 79."
    )
    assert verdict.said.startswith("last20 has the highest")


def test_that_nothing_was_learned_is_said_first_where_it_holds_of_what_is_taken():
    noise = {name: candidate(0.98, seed, folds=5, flipped=0.002) for seed, name in enumerate(TESTED)}
    verdict = decide(noise, COSTS, PRETRAINED, trivial={LARGEST: candidate(0.98, 9, flipped=0)})
    assert verdict.said.startswith(
        f"No strategy has learned anything that shows: none is surely better than {LARGEST}, 98.0 %. "
    )
    assert verdict.learned == ""
    two = {"frozen": noise["frozen"], "last20": noise["last20"], "deep-cnn": candidate(0.5, 1, folds=5)}
    some = decide(two, COSTS, PRETRAINED, trivial={LARGEST: candidate(0.45, 9)})
    assert some.learned == ""


def test_a_strategy_that_was_given_up_is_said_to_be_and_not_taken():
    given_up = decide(TESTED, COSTS, PRETRAINED, dropped={"last20": 2})
    assert given_up.take == "deep-cnn"
    assert alternative(given_up, "last20").said.endswith("clearly behind after 2 folds, and given up.")


def test_networks_are_not_spoken_of_for_one_that_was_given_up_after_a_single_fold():
    whole = TESTED["base-cnn"]
    seen = np.where(whole.networks == 0, whole.values, np.nan)
    once = Tested(seen, np.where(whole.networks == 0, 0, -1), whole.units, whole.weights)
    verdict = decide(TESTED | {"base-cnn": once}, COSTS, PRETRAINED, dropped={"base-cnn": 1})
    assert alternative(verdict, "base-cnn").said.startswith("base-cnn's network: worse by ")
    assert "these networks" not in verdict.doubt


def test_the_metric_that_counts_is_named():
    assert decide(TESTED, COSTS, PRETRAINED, metric="balanced-accuracy").said.startswith(
        "last20 has the highest balanced accuracy: 9"
    )
    assert decide({"frozen": candidate(0.9)}, COSTS, PRETRAINED, metric="f1").said.startswith(
        "frozen is the only strategy that ran: F1 88.9 % ("
    )


def test_what_another_score_would_choose_is_told_beside_it():
    verdict = decide(TESTED, COSTS, PRETRAINED)
    same = beside(verdict, decide(TESTED, COSTS, PRETRAINED, metric="balanced-accuracy"), 12.4)
    assert same.otherwise.startswith(
        "The largest class has 12 times the images of the smallest; by balanced accuracy last20 would be taken, too: "
    )
    other = beside(verdict, decide(TESTED, COSTS, PRETRAINED, metric="f1", dropped={"last20": 2}), 5)
    assert "by F1 deep-cnn would be taken instead of last20: F1 9" in other.otherwise


def test_the_luck_of_the_best_is_taken_off_and_said():
    equal = {f"deep-cnn {seed}": candidate(0.8, seed, folds=5, images=100, flipped=0.2) for seed in range(6)}
    verdict = decide(equal, {name: cost(1) for name in equal}, ())
    measured = equal[verdict.take].score
    assert verdict.score.value < measured
    assert f"; measured {100 * measured:.1f} %, but the best of several is partly lucky)" in verdict.said


def test_the_front_leaves_out_only_what_another_beats_in_everything():
    accuracy = {name: each.score for name, each in TESTED.items()}
    assert front(accuracy, COSTS) == ("base-cnn", "deep-cnn", "frozen", "last20")
    slower = COSTS | {"deep-cnn": cost(900, 17, 18)}
    assert front(accuracy, slower) == ("base-cnn", "frozen", "last20")


def test_of_equals_in_everything_both_are_on_the_front():
    assert front({"a": 0.9, "b": 0.9}, {"a": cost(1), "b": cost(1)}) == ("a", "b")


def test_no_head_start_is_said_as_plainly():
    good, bad = candidate(0.9, 1, folds=5), candidate(0.7, 2, folds=5)
    said = [
        decide(candidates, COSTS, {"frozen"}).head_start
        for candidates in ({"deep-cnn": good, "frozen": bad}, {"deep-cnn": good, "frozen": good}, {"frozen": good})
    ]
    assert "no head start: deep-cnn is better by" in said[0]
    assert "no clear head start" in said[1]
    assert said[2] == ""


def test_one_strategy_is_taken_as_the_only_one():
    verdict = decide({"frozen": candidate(0.9)}, COSTS, PRETRAINED)
    assert (verdict.take, verdict.alternatives, verdict.front) == ("frozen", (), ("frozen",))
    assert verdict.doubt == ""


def test_a_verdict_is_kept_as_json():
    saved = json.loads(json.dumps(decide(TESTED, COSTS, PRETRAINED).as_json()))
    assert saved["take"] == "last20"
    assert saved["score"].keys() == {"value", "low", "high"}
    assert len(saved["pairs"]) == 6
    assert saved["alternatives"][0]["difference"].keys() == {"mean", "low", "high", "p_value", "speaks_of"}
