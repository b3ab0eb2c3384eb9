from __future__ import annotations

import re
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import headstart as hs
from headstart.arguments import make_parser
from headstart.data.folds import in_folds
from headstart.experiments import planning
from headstart.experiments.pace import Pace, measured_pace, noise
from headstart.experiments.planning import REPORT_SECONDS, Estimate, Planner
from headstart.experiments.trade_offs import SIZES, WHOLE, Shape, accuracy, shapes
from headstart.plan import Plan
from headstart.report.words import shortened
from headstart.results import runs
from headstart.results.request import read_request
from headstart.runtime.device import make_fabric
from headstart.strategies import Weights, candidates_of
from headstart.training.preparation import from_scratch

WEIGHTS = Weights("net", 192, "", "", "")
PACE = Pace(train=0.01, predict=0.001, exact=0.002)


def planner(tiny, *names, image_size=None):
    """What plans candidates on a backbone at 192 pixels that takes 10 ms an image."""
    pretrained = SimpleNamespace(
        backbone=SimpleNamespace(image_size=192, takes_any_size=True),
        freezes=lambda strategy: bool(strategy.frozen_share),
        engine=lambda exact=False: {"setup_seconds": 0.0, "image_seconds": 0.03 if exact else 0.01},
        frozen_pass=SimpleNamespace(pace=lambda: 0.01),
        missing=lambda strategies, part, views, exact=False: len(part) * len(views),
    )
    rows = candidates_of([hs.STRATEGIES[name] for name in names], [WEIGHTS])
    return Planner(rows, tiny, {WEIGHTS: pretrained}, image_size, seeds=1, fabric=None)


def planned(case, limit, monkeypatch):
    """Its plans, and the seconds that they are expected to take, where every candidate has the same pace."""
    for measure in ("stored_pace", "measured_pace"):
        monkeypatch.setattr(planning, measure, lambda *about: PACE)
    estimates, _ = case.estimates(time.perf_counter() + limit)
    return {each.plan.candidate: each.plan for each in estimates}, sum(each.seconds(1) for each in estimates)


def test_an_estimate_counts_the_pass_once_and_the_rest_for_every_seed():
    estimate = Estimate(Plan("frozen", 3), 10, 0.9, epoch_seconds=2, test_seconds=1, pass_seconds=10)
    each = 3 * 2 + 1 + REPORT_SECONDS
    assert estimate.seconds(seeds=2) == pytest.approx(10 + 2 * each)


def test_the_whole_recipes_are_planned_where_they_fit(tiny, monkeypatch):
    names = ("base-cnn", "deep-cnn", "frozen", "last20")
    plans, seconds = planned(planner(tiny, *names), 1000, monkeypatch)
    assert plans == {name: Plan(name, hs.STRATEGIES[name].recipe.epochs) for name in names}
    assert seconds < 1000 / planning.SURELY


@pytest.mark.parametrize("share", [0.9, 0.6, 0.4])
def test_what_does_not_fit_is_shortened_until_it_does(tiny, monkeypatch, share):
    case = planner(tiny, "base-cnn", "deep-cnn", "frozen", "last20")
    _, whole = planned(case, 1e9, monkeypatch)
    plans, seconds = planned(case, share * whole, monkeypatch)
    assert 0.9 * share * whole <= seconds <= share * whole
    assert any(plan.epochs < hs.STRATEGIES[name].recipe.epochs for name, plan in plans.items())


def test_of_two_that_cost_the_same_the_one_that_gains_more_gets_more(tiny, monkeypatch):
    monkeypatch.setattr(planning, "accuracy", lambda strategy, shape, share: share * (strategy.name == "deep-cnn"))
    case = planner(tiny, "base-cnn", "deep-cnn")
    _, whole = planned(case, 1e9, monkeypatch)
    plans, _ = planned(case, 0.7 * whole, monkeypatch)
    assert plans["base-cnn"].epochs <= 0.2 * hs.STRATEGIES["base-cnn"].recipe.epochs
    assert plans["deep-cnn"].epochs > 0.7 * hs.STRATEGIES["deep-cnn"].recipe.epochs


def test_what_would_have_no_time_for_a_tenth_of_its_epochs_is_left_out(tiny, monkeypatch):
    case = planner(tiny, "base-cnn", "deep-cnn", "last20")
    least = [case.options(each, PACE, WHOLE)[0].seconds(1) for each in case.candidates]
    limit = sum(least) - max(least)
    plans, seconds = planned(case, limit, monkeypatch)
    assert 0 < len(plans) < 3
    assert seconds <= limit
    assert all(plan.epochs >= 0.1 * hs.STRATEGIES[name].recipe.epochs for name, plan in plans.items())


def test_where_nothing_fits_the_least_of_the_quickest_is_planned(tiny, monkeypatch):
    plans, seconds = planned(planner(tiny, "base-cnn", "last20"), 1, monkeypatch)
    assert seconds > 1
    (plan,) = plans.values()
    assert plan.epochs == pytest.approx(0.1 * hs.STRATEGIES[plan.candidate].recipe.epochs)


def test_an_image_size_that_was_asked_for_stays(tiny, monkeypatch):
    plans, _ = planned(planner(tiny, "frozen", "last20", image_size=192), 9, monkeypatch)
    assert {plan.image_size for plan in plans.values()} == {None}


def test_a_smaller_image_makes_the_pass_and_the_tail_cheaper_and_not_the_head_on_features(tiny):
    case, small = planner(tiny, "frozen", "last20"), Shape(64)
    assert case.pass_seconds(WEIGHTS, small) == pytest.approx([each / 9 for each in case.pass_seconds(WEIGHTS)])
    frozen, last20 = case.candidates
    assert case.options(frozen, PACE, small)[0].epoch_seconds == case.options(frozen, PACE, WHOLE)[0].epoch_seconds
    assert case.options(last20, PACE, small)[0].epoch_seconds == pytest.approx(
        case.options(last20, PACE, WHOLE)[0].epoch_seconds / 9
    )


def test_the_pass_sees_train_and_val_in_every_view_and_test_once_exactly_and_once_mirrored(tiny):
    case = planner(tiny, "frozen")
    trained, tested = len(tiny) - len(tiny.test), len(tiny.test)
    after = (0.01 + 0.03) * tested
    assert case.pass_seconds(WEIGHTS) == pytest.approx((0.01 * 2 * trained + after, after))
    assert case.pass_seconds(WEIGHTS, Shape(views=1)) == pytest.approx((0.01 * trained + after, after))


def test_by_folds_the_pass_sees_each_image_once_in_each_view(tiny):
    folds = in_folds(replace(tiny, cut=("val", "test")), "3", 0)
    assert len(folds.splits) == 3
    case = replace(planner(tiny, "frozen"), data=folds)
    everything = len(np.unique(np.concatenate([rows for each in folds.splits for rows in each.parts.values()])))
    after = 0.03 * len(folds.tested)
    assert case.pass_seconds(WEIGHTS) == pytest.approx((0.01 * 2 * everything + after, after))


def test_what_a_pass_has_seen_already_is_not_planned_again(tiny):
    case, asked = planner(tiny, "frozen", "last20"), []

    def missing(strategies, part, views, exact=False):
        asked.append((len(part), *views, exact))
        return 0

    case.backbones[WEIGHTS].missing = missing
    assert case.pass_seconds(WEIGHTS)[0] > 0 and not asked  # only where time is short
    pressed = replace(case, image_seconds={WEIGHTS: 0.01})
    assert pressed.pass_seconds(WEIGHTS) == pressed.pass_seconds(WEIGHTS) == (0, 0)
    trained, tested = len(tiny) - len(tiny.test), len(tiny.test)
    views = {(trained, "identity", False), (trained, "mirror", False), (tested, "mirror", False)}
    assert set(asked) == views | {(tested, "identity", True)} and len(asked) == 4
    assert pressed.pass_seconds(WEIGHTS, Shape(64))[0] > 0  # by another network


def test_by_folds_one_training_on_all_images_is_planned_too_of_that_which_takes_longest(tiny):
    folds = in_folds(replace(tiny, cut=("val", "test")), "3", 0)
    case = replace(planner(tiny, "base-cnn", "deep-cnn"), data=folds, seeds=3)
    both = [case.options(each, PACE, WHOLE)[-1] for each in case.candidates]
    again = [each.fit_seconds * len(folds) / len(folds.train) for each in both]
    assert case.seconds(both) == pytest.approx(sum(each.seconds(3) for each in both) + max(again))
    least = [case.options(each, PACE, WHOLE)[0] for each in case.candidates]
    limit = (case.seconds(least) + case.seconds(both)) / 2
    chosen = case.filled(WHOLE, {"base-cnn": PACE, "deep-cnn": PACE}, limit)
    assert 0.9 * limit < case.seconds(chosen) <= limit


@pytest.mark.parametrize("name", ["base-cnn", "deep-cnn", "frozen", "last20", "last50", "full", "random-init"])
def test_more_epochs_larger_images_and_more_views_promise_no_less(name):
    strategy = hs.STRATEGIES[name]
    grown = [accuracy(strategy, WHOLE, share) for share in planning.SHARES]
    assert grown == sorted(grown) and grown[0] < grown[-1]
    if strategy.network == "backbone":
        sizes = [accuracy(strategy, Shape(size), 1.0) for size in SIZES["frozen"]]
        assert [accuracy(strategy, WHOLE, 1.0), *sizes] == sorted(
            [accuracy(strategy, WHOLE, 1.0), *sizes], reverse=True
        )
        assert accuracy(strategy, Shape(views=1), 1.0) <= accuracy(strategy, WHOLE, 1.0)


def test_images_are_never_made_larger_and_one_size_stays_one():
    assert {shape.image_size for shape in shapes(100)} == {None, 64}
    assert {shape.image_size for shape in shapes(None)} == {None}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h5s", 7205), ("none", "none")]
)
def test_times_are_read(text, seconds):
    assert make_parser().parse_args(["compare", "--time-limit", text]).time_limit == seconds


def test_a_limit_becomes_a_plan_that_is_shown_kept_and_followed(tiny, tmp_path, capfd):
    asked = {"backbone": "tf_efficientnet_lite0.in1k", "offline": True, "device": "cpu", "seed": 3}
    names = ["base-cnn", "frozen"]
    first = hs.compare(tiny, names, **asked, time_limit=120, output=tmp_path / "first")  # for a busy machine
    shown = capfd.readouterr().err
    limit = int(re.search(r"(\d+) s of the limit", shown)[1])
    assert 0 <= limit < 120  # less what finding backbone and data took
    plans = [run.config["plan"] for run in first.runs]
    assert {plan.split("=")[0] for plan in plans} == set(names)
    assert all(Plan.of(plan).candidate in shown for plan in plans)
    assert [run.config["strategy"]["recipe"]["epochs"] for run in first.runs] == [Plan.of(p).epochs for p in plans]
    again = hs.compare(tiny, names, **asked, plan=plans, output=tmp_path / "again")
    for one, other in zip(first.runs, again.runs, strict=True):
        assert one.model.read_bytes() == other.model.read_bytes()
        assert other.config["plan"] == one.config["plan"]


def test_a_candidate_that_a_limit_leaves_out_is_told_and_stays_out(tiny, tmp_path, capfd):
    options = {"strategies": ["base-cnn", "deep-cnn"], "time_limit": 1, "device": "cpu", "output": tmp_path / "out"}
    first = hs.compare(tiny, **options)
    assert len(first.runs) == 1
    assert first.is_complete
    assert "left out: no time" in capfd.readouterr().err
    assert len(hs.compare(tiny, **options).runs) == 1
    assert "left out, as there was no time" in " ".join(shortened(first))


def test_a_plan_is_followed_when_a_comparison_is_resumed(tiny, tmp_path):
    options = {"strategies": ["base-cnn"], "time_limit": 30, "device": "cpu", "output": tmp_path / "out"}
    first = hs.compare(tiny, **options)
    kept, trained_for = read_request(tmp_path / "out")["plan"], Plan.of(first.runs[0].config["plan"]).epochs
    for file in first.runs[0].folder.iterdir():
        file.unlink()
    first.runs[0].folder.rmdir()
    again = hs.compare(tiny, **options)
    assert kept == read_request(tmp_path / "out")["plan"]
    assert again.runs[0].config["plan"] == kept[-1]
    assert Plan.of(kept[-1]).epochs == trained_for


def test_measuring_tells_seconds_an_image(tiny):
    (candidate,) = candidates_of([hs.STRATEGIES["base-cnn"]], ())
    pace = measured_pace(candidate, tiny, None, None, make_fabric("cpu"))
    assert 0 < pace.predict < 1 and 0 < pace.train < 1


def test_the_limit_counts_from_when_it_was_asked_for(tiny, tmp_path, capfd):
    def slow():
        time.sleep(2)
        return tiny

    hs.compare(slow, ["base-cnn"], time_limit=30, device="cpu", output=tmp_path / "out")
    assert int(re.search(r"(\d+) s of the limit", capfd.readouterr().err)[1]) <= 28


def test_noise_lies_on_the_device_that_images_will_lie_on(tiny):
    prepared = from_scratch(hs.STRATEGIES["base-cnn"], tiny, torch.device("cpu"))
    made = noise(prepared, tiny, 4, ("identity",), torch.device("meta"))
    assert made.inputs.device.type == made.labels.device.type == "meta"


@pytest.mark.parametrize("option", [{"epochs": 1}, {"time_limit": "none"}])
def test_without_a_limit_there_is_no_plan(tiny, tmp_path, option):
    result = hs.compare(tiny, ["base-cnn"], **option, device="cpu", output=tmp_path / "out")
    assert runs.Run(result.runs[0].folder).config["plan"] is None
