"""Rows beyond the default: from a frozen backbone to one without its weights, by one loop, and what each forgot."""

from __future__ import annotations

import numpy as np
import pytest

import headstart as hs

CURVE = ["frozen", "last20", "last50", "full", "random-init"]
OPTIONS = {"backbone": "tf_efficientnet_lite0.in1k", "image_size": 32, "offline": True, "device": "cpu", "epochs": 1}


@pytest.fixture(scope="module")
def curve(tiny, tmp_path_factory):
    return hs.compare(tiny, CURVE, output=tmp_path_factory.mktemp("curve") / "out", **OPTIONS)


def run_of(curve, strategy):
    return next(run for run in curve.runs if run.strategy == strategy)


def test_the_further_unfrozen_the_more_is_trained(curve):
    trained = curve.table()["trainable_parameters"]
    assert list(trained.index) == CURVE
    assert trained["last20"] < trained["last50"] < trained["full"] <= trained["random-init"]


def test_only_what_is_not_pre_trained_counts_as_from_scratch(curve):
    assert {name: run_of(curve, name).config["backbone"] is not None for name in CURVE} == {
        **dict.fromkeys(CURVE[:-1], True),
        "random-init": False,
    }


@pytest.mark.parametrize("strategy", CURVE)
def test_a_saved_network_predicts_what_was_evaluated(curve, strategy, tiny):
    run = run_of(curve, strategy)
    logits, _, names = run.predictions()
    top_two = np.sort(logits, axis=1)[:, -2:]
    clear = top_two[:, 1] - top_two[:, 0] > 0.2
    predicted = hs.Classifier.load(run.folder).predict(tiny.test.images)
    assert (predicted[clear] == np.array(names)[logits.argmax(axis=1)][clear]).all()


def test_a_frozen_backbone_forgets_nothing_at_all(curve):
    forgetting = run_of(curve, "frozen").metrics["forgetting"]
    assert (forgetting["agreement"], forgetting["divergence"], forgetting["weight_distance"]) == (1.0, 0.0, 0.0)
    assert set(forgetting["cka"].values()) == {1.0}


@pytest.mark.parametrize("strategy", ["last20", "last50", "full"])
def test_a_retrained_backbone_has_moved_and_its_frozen_pieces_have_not(curve, strategy):
    run = run_of(curve, strategy)
    forgetting = run.metrics["forgetting"]
    assert forgetting["divergence"] > 0 and forgetting["weight_distance"] > 0
    retrained = {name.split(" ")[0] for name in run.config["retrained"]}
    moved = {name for name, distance in forgetting["by_piece"].items() if distance}
    assert moved and moved <= retrained


def test_what_never_was_pre_trained_has_nothing_to_forget(curve):
    assert run_of(curve, "random-init").metrics["forgetting"] is None


def test_a_time_limit_plans_rows_without_a_frozen_part_too(tiny, tmp_path):
    options = {key: value for key, value in OPTIONS.items() if key != "epochs"}
    result = hs.compare(tiny, ["frozen", "full"], time_limit=10, output=tmp_path / "out", **options)
    assert {run.strategy: run.config["plan"]["epochs"] >= 1 for run in result.runs} == {"frozen": True, "full": True}
