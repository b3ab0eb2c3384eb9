"""Keeping a comparison to its time limit while its trials run, whatever else the machine does meanwhile."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from headstart.experiments.planning import REPORT_SECONDS, SHARES, Estimate
from headstart.experiments.trial import Trial, planned
from headstart.strategies import Candidate, backbone_name
from headstart.training.fit import Row

LEAST_CHANGE = 0.05  # of the epochs that are left: a smaller one is not made


class Timetable:
    """What is left to do, and until when.

    Where the machine turns slower than was measured, all that is left is shortened alike, to a tenth of its recipe at
    least; where it turns faster, what was shortened is trained longer, up to its whole recipe.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        estimates: Sequence[Estimate],
        trials: Sequence[Trial],
        ends: float,
        on_begin: Callable[[Trial], None] = lambda trial: None,
    ):
        """candidates: with their whole recipes. trials: in the order in which they will run. ends: when the last one
        must be over, by `time.perf_counter`. on_begin: told of every trial as it is planned in the end."""
        self.candidates = {each.name: each for each in candidates}
        self.estimates = {each.plan.candidate: each for each in estimates}
        self.left = [(trial.split, self.estimates[trial.candidate.name]) for trial in trials]
        self.ends, self.on_begin = ends, on_begin
        splits = {trial.split for trial in trials}
        self.passes = defaultdict[str, float](float)  # backbone -> seconds of the frozen pass before training
        self.tests = defaultdict[tuple[str, str], float](float)  # backbone, split -> of that after its first run
        for each in estimates:
            backbone = backbone_name(each.plan.candidate)
            self.passes[backbone] += each.pass_seconds - each.tested_seconds
            for split in splits:
                self.tests[backbone, split] += each.tested_seconds / len(splits)
        self.slower = 1.0  # how many times as long an epoch takes as was estimated, when one was last seen
        self.total = self.done = 0.0  # epochs of the trial that runs
        self.has_begun = False

    @property
    def epoch_seconds(self) -> dict[str, float]:
        """Candidate -> seconds of an epoch, as estimated."""
        return {name: each.epoch_seconds for name, each in self.estimates.items()}

    def begin(self, trial: Trial) -> Trial:
        """The next trial, its epochs planned again by the time that is left."""
        _, now = self.left[0]
        plan, self.total, self.done, self.has_begun = now.plan, now.plan.epochs, 0.0, True
        if (epochs := self.epochs(0.0)) is not None:
            plan = replace(plan, epochs=epochs)
        trial = replace(trial, plan=plan, candidate=planned(self.candidates[plan.candidate], plan))
        self.on_begin(trial)
        return trial

    def validated(self, row: Row) -> None:
        """Be told of a row of the trial's history."""
        _, now = self.left[0]
        self.slower = row["seconds"] / (row["epoch"] - self.done) / now.epoch_seconds
        self.done = row["epoch"]
        if now.pass_seconds:  # that came before the first epoch
            self.passes.pop(backbone_name(now.plan.candidate), None)

    def end(self) -> None:
        """The trial is over, or was dropped before it began."""
        split, now = self.left.pop(0)
        if self.has_begun and now.pass_seconds:
            self.tests.pop((backbone_name(now.plan.candidate), split), None)
        self.has_begun = False

    def epochs(self, done: float) -> float | None:
        """How many epochs the trial is to have of which so many are over; None where that is as it should be."""
        now, *later = [each for _, each in self.left]
        left = self.total - done
        fits = left / now.plan.epochs * now.fit_seconds + sum(each.fit_seconds for each in later)
        tests = sum(each.test_seconds for _, each in self.left)
        again = max(each.again_seconds for each in self.estimates.values())
        to_come = {(backbone_name(each.plan.candidate), split) for split, each in self.left if each.pass_seconds}
        passes = sum(self.passes[backbone] for backbone in {backbone for backbone, _ in to_come})
        passes += sum(self.tests[each] for each in to_come)
        fixed = passes + self.slower * (tests + again) + len(self.left) * REPORT_SECONDS
        share = (self.ends - time.perf_counter() - fixed) / (self.slower * fits)
        found = min(now.most, max(SHARES[0] * now.most, done + max(share * left, 0.01)))
        if abs(found - self.total) < LEAST_CHANGE * left:
            return None
        self.total = round(found, 2)
        return self.total
