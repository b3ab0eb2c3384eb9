from __future__ import annotations

from dataclasses import replace

import pytest

import headstart as hs
from headstart.experiments import timetable
from headstart.experiments.planning import REPORT_SECONDS, Estimate
from headstart.experiments.timetable import Timetable
from headstart.experiments.trial import Setting, Trial
from headstart.plan import Plan
from headstart.strategies import Weights, candidates_of

FIT = 10 * 5.0  # seconds of ten epochs of five


@pytest.fixture
def clock(monkeypatch):
    """The time, which passes when it is told to."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    monkeypatch.setattr(timetable, "time", clock := Clock())
    return clock


def table_of(tmp_path, ends, most=10.0, planned=10.0, names=("base-cnn", "deep-cnn")):
    """Trials of candidates that each take ten epochs of five seconds, and nothing for their tests."""
    candidates = candidates_of([hs.STRATEGIES[name] for name in names], ())
    estimates = [Estimate(Plan(name, planned), most, 0.9, 5.0, 0.0, 0.0) for name in names]
    trials = [Trial(each, "holdout", 0, Setting(tmp_path)) for each in candidates]
    return Timetable(candidates, estimates, trials, ends), trials


def row(epoch, seconds):
    return {"epoch": epoch, "seconds": seconds}


def test_while_all_goes_as_planned_nothing_changes(tmp_path, clock):
    table, (first, _) = table_of(tmp_path, ends=2 * (FIT + REPORT_SECONDS))
    begun = table.begin(first)
    assert begun.plan == Plan("base-cnn", 10.0)
    assert begun.candidate.strategy.recipe.epochs == 10
    for done in (1, 2, 3):
        clock.now += 5
        table.validated(row(done, 5.0))
        assert table.epochs(done) is None


def test_on_a_machine_that_turned_slow_all_that_is_left_is_shortened_alike(tmp_path, clock):
    table, (first, second) = table_of(tmp_path, ends=2 * (FIT + REPORT_SECONDS))
    table.begin(first)
    clock.now = 10.0
    table.validated(row(1, 10.0))  # twice as long as was estimated
    left = 2 * (FIT + REPORT_SECONDS) - 10.0 - 2 * REPORT_SECONDS
    share = left / (2 * (0.9 * FIT + FIT))
    assert table.epochs(1) == pytest.approx(1 + share * 9, abs=0.01)
    clock.now = 10.0 + share * 9 * 10.0 + REPORT_SECONDS
    table.end()
    assert table.begin(second).plan.epochs == pytest.approx(10 * share, rel=0.02)


def test_on_a_machine_that_turned_fast_it_trains_up_to_the_whole_recipe_and_no_longer(tmp_path, clock):
    table, (first, _) = table_of(tmp_path, ends=1000.0, most=20.0)
    table.begin(first)
    assert table.total == 20.0
    clock.now = 5.0
    table.validated(row(1, 5.0))
    assert table.epochs(1) is None


def test_a_trial_that_has_no_time_left_ends_soon(tmp_path, clock):
    table, (first, _) = table_of(tmp_path, ends=20.0)
    table.begin(first)
    clock.now = 100.0
    table.validated(row(1, 100.0))
    assert table.epochs(1) == pytest.approx(1.01)


def test_a_trial_for_which_no_time_is_left_has_a_tenth_of_its_epochs(tmp_path, clock):
    table, (first, second) = table_of(tmp_path, ends=20.0)
    clock.now = 100.0
    assert table.begin(first).plan.epochs == 1.0
    table.end()
    assert table.begin(second).plan.epochs == 1.0


def test_what_the_pass_over_test_takes_after_training_is_not_given_to_epochs(tmp_path, clock):
    candidates = candidates_of(
        [hs.STRATEGIES[name] for name in ("frozen", "last20")], [Weights("net", 192, "", "", "")]
    )
    trials = [Trial(each, "holdout", 0, Setting(tmp_path)) for each in candidates]
    estimates = [Estimate(Plan(each.name, 5.0), 10.0, 0.9, 5.0, 0.0, 50.0, 20.0) for each in candidates]
    table = Timetable(candidates, estimates, trials, ends=150.0 + 2 * REPORT_SECONDS)
    assert table.begin(trials[0]).plan.epochs == 5.0
    clock.now = 60.0 + 5.0  # the pass, and an epoch
    table.validated(row(1, 5.0))
    assert table.epochs(1) is None
    clock.now = 60.0 + 25.0 + 40.0 + REPORT_SECONDS
    table.end()
    assert table.begin(trials[1]).plan.epochs == 5.0


def test_of_several_backbones_each_has_a_pass_to_come(tmp_path, clock):
    weights = [Weights(name, 192, "", "", "") for name in ("a", "b")]
    candidates = candidates_of([hs.STRATEGIES["frozen"]], weights)
    trials = [Trial(each, "holdout", 0, Setting(tmp_path)) for each in candidates]
    estimates = [Estimate(Plan(each.name, 5.0), 10.0, 0.9, 5.0, 0.0, 40.0) for each in candidates]
    table = Timetable(candidates, estimates, trials, ends=130.0 + 2 * REPORT_SECONDS)
    table.begin(trials[0])
    clock.now = 45.0
    table.validated(row(1, 5.0))
    assert table.epochs(1) is None


def test_what_is_trained_once_more_on_all_images_is_not_given_to_the_folds(tmp_path, clock):
    table, (first, _) = table_of(tmp_path, ends=3 * FIT + 2 * REPORT_SECONDS, most=20.0)
    assert table.epochs(0.0) is not None  # there would be time for more
    table.estimates = {name: replace(each, again_seconds=FIT) for name, each in table.estimates.items()}
    assert table.begin(first).plan.epochs == 10.0


def test_a_trial_that_is_dropped_has_no_pass_and_leaves_the_others_theirs(tmp_path, clock):
    both = candidates_of([hs.STRATEGIES[name] for name in ("base-cnn", "frozen")], [Weights("net", 192, "", "", "")])
    trials = [Trial(each, split, 0, Setting(tmp_path)) for split in ("one", "two") for each in both]
    estimates = [Estimate(Plan(each.name, 5.0), 20.0, 0.9, 5.0, 0.0, 0.0) for each in both]
    estimates[1] = replace(estimates[1], pass_seconds=100.0, tested_seconds=20.0)
    table = Timetable(both, estimates, trials, ends=200.0 + 4 * REPORT_SECONDS)
    assert table.begin(trials[0]).plan.epochs == 5.0
    table.end()
    table.end()  # frozen of one, which was dropped
    left = 200.0 + 4 * REPORT_SECONDS - 90.0  # the pass, and half of what follows training
    assert table.begin(trials[2]).plan.epochs == pytest.approx((left - 2 * REPORT_SECONDS) / 10)


def test_the_pass_is_over_once_a_trial_that_needs_it_has_begun_to_train(tmp_path, clock):
    candidates = candidates_of([hs.STRATEGIES["frozen"]], [Weights("net", 192, "", "", "")])
    trial = Trial(candidates[0], "holdout", 0, Setting(tmp_path))
    table = Timetable(candidates, [Estimate(Plan("frozen", 10.0), 10.0, 0.9, 5.0, 0.0, 100.0)], [trial], 170.0)
    table.begin(trial)
    assert table.total == 10.0
    clock.now = 105.0
    table.validated(row(1, 5.0))
    assert table.epochs(1) is None
