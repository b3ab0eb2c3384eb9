from __future__ import annotations

import json

import numpy as np
import pytest

from headstart.results.verdict import decide, front

IMAGES = 2000


def hits(accuracy, seed=0, seeds=1):
    """Which images are right, (S, N): the same hard ones for everyone, so that pairs are compared closely."""
    shares = np.random.default_rng(99).permutation(IMAGES) / IMAGES
    flips = np.random.default_rng(seed).random((seeds, IMAGES)) < 0.01
    return ((shares < accuracy) ^ flips).astype(bool)


def cost(fit, latency=1.0, size=1.0):
    return {"fit_seconds": fit, "latency_ms": latency, "size_mb": size}


CORRECT = {"base-cnn": hits(0.80, 1), "deep-cnn": hits(0.92, 2), "frozen": hits(0.90, 3), "last20": hits(0.95, 4)}
COSTS = {
    "base-cnn": cost(50, 1, 2),
    "deep-cnn": cost(900, 3, 8),
    "frozen": cost(200, 15, 17),
    "last20": cost(800, 16, 14),
}
PRETRAINED = {"frozen", "last20"}


def test_a_clear_winner_is_taken_with_what_it_beats_and_at_what_cost():
    verdict = decide(CORRECT, COSTS, PRETRAINED)
    assert verdict.take == "last20"
    frozen = next(each for each in verdict.alternatives if each.strategy == "frozen")
    assert frozen.told_apart and frozen.difference.low > 0
    assert frozen.ratios["fit_seconds"] == pytest.approx(4.0)
    assert "It beats deep-cnn by" in verdict.said
    assert "and frozen by" in verdict.said and "4.0 times the time to fit" in verdict.said
    assert "0.2 times the time to fit" in frozen.said and "less accurate" in frozen.said
    assert "head start of" in verdict.head_start and "over deep-cnn" in verdict.head_start


def test_what_cannot_be_told_apart_is_a_tie_and_the_cheaper_is_taken():
    correct = {"frozen": hits(0.900, 3), "last20": hits(0.901, 4)}
    verdict = decide(correct, COSTS, PRETRAINED)
    assert verdict.take == "frozen"
    assert verdict.said.startswith("frozen and last20 cannot be told apart by 2,000 test images")
    assert "take the cheaper, frozen, at 200 s to fit" in verdict.said
    assert not verdict.alternatives[0].told_apart


def test_a_difference_lost_among_many_pairs_is_told_as_such():
    correct = {f"deep-cnn {seed}": hits(0.90, seed) for seed in range(4)} | {"frozen": hits(0.907, 9)}
    verdict = decide(correct, {name: cost(200 if name == "frozen" else 100) for name in correct}, ["frozen"])
    frozen = next(each for each in verdict.alternatives if each.strategy == "frozen")
    assert not frozen.difference.is_tie and not frozen.told_apart
    assert "; too little where so many pairs are compared)" in frozen.said
    assert "between them; too little where so many pairs are compared): take the cheaper" in verdict.said
    assert "gives no clear head start" in verdict.head_start
    assert verdict.head_start.endswith("; too little where so many pairs are compared.")


@pytest.mark.parametrize(
    ("prefer", "taken"), [("accuracy", "last20"), ("fit-time", "frozen"), ("latency", "deep-cnn"), ("size", "deep-cnn")]
)
def test_a_preference_takes_the_cheapest_of_those_that_are_close(prefer, taken):
    correct = {"base-cnn": hits(0.80, 1), "deep-cnn": hits(0.94, 2), "frozen": hits(0.939, 3), "last20": hits(0.955, 4)}
    verdict = decide(correct, COSTS, PRETRAINED, prefer)
    assert verdict.take == taken
    assert verdict.prefer == prefer
    if prefer != "accuracy":
        assert "of those within 2 points of the most accurate, last20" in verdict.said


def test_the_front_leaves_out_only_what_another_beats_in_everything():
    accuracy = {name: float(each.mean()) for name, each in CORRECT.items()}
    assert front(accuracy, COSTS) == ("base-cnn", "deep-cnn", "frozen", "last20")
    slower = COSTS | {"deep-cnn": cost(900, 17, 18)}
    assert front(accuracy, slower) == ("base-cnn", "frozen", "last20")


def test_of_equals_in_everything_both_are_on_the_front():
    assert front({"a": 0.9, "b": 0.9}, {"a": cost(1), "b": cost(1)}) == ("a", "b")


def test_no_head_start_is_said_as_plainly():
    good, bad = hits(0.9, 1), hits(0.7, 2)
    said = [
        decide(correct, COSTS, {"frozen"}).head_start
        for correct in ({"deep-cnn": good, "frozen": bad}, {"deep-cnn": good, "frozen": good}, {"frozen": good})
    ]
    assert "no head start: deep-cnn is better by" in said[0]
    assert "no clear head start" in said[1]
    assert said[2] == ""


def test_one_strategy_is_taken_as_the_only_one():
    verdict = decide({"frozen": hits(0.9)}, COSTS, PRETRAINED)
    assert (verdict.take, verdict.alternatives, verdict.front) == ("frozen", (), ("frozen",))
    assert "only strategy" in verdict.said


def test_every_pair_is_compared_and_corrected_for_their_number():
    verdict = decide(CORRECT, COSTS, PRETRAINED)
    assert len(verdict.pairs) == 6
    assert all(pair.adjusted_p >= pair.difference.p_value for pair in verdict.pairs)


def test_a_verdict_is_kept_as_json():
    saved = json.loads(json.dumps(decide(CORRECT, COSTS, PRETRAINED).as_json()))
    assert saved["take"] == "last20"
    assert saved["alternatives"][0]["difference"].keys() == {"mean", "low", "high", "p_value", "over_seeds"}
