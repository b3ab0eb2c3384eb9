"""What is run after what: of several backbones first the probes, then what they say is worth it; each to its time."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.data.splits import units_of
from headstart.evaluation.scores import METRICS, SCORES
from headstart.experiments.planning import Estimate, Planner
from headstart.experiments.runner import in_order
from headstart.experiments.timetable import Timetable
from headstart.experiments.trade_offs import Shape
from headstart.experiments.trial import Setting, Trial, planned, pretrained
from headstart.options import Options
from headstart.plan import Plan
from headstart.report.words import ranked
from headstart.results import runs
from headstart.results.files import write_json
from headstart.results.probed import rank
from headstart.runtime.console import say
from headstart.runtime.device import chosen_probes
from headstart.strategies import Candidate, Weights, backbone_name, probes
from headstart.training.preparation import Pretrained

RESERVE = 0.03  # of a time limit: for what is not measured

Stage = tuple[list[Trial], Timetable | None]
"""Trials in order, and what keeps them to a time limit, if there is one."""


@dataclass(frozen=True)
class Stages:
    """The stages of a comparison, to be run one by one: a later one follows from what an earlier one left.

    candidates: all that were asked for. kept: what request.json keeps; what is decided is written there, so that a
    comparison that is resumed goes on as it was decided. started: when it was asked for, by `time.perf_counter`.
    """

    options: Options
    data: Dataset
    fabric: Fabric
    started: float
    folder: Path
    candidates: Sequence[Candidate]
    kept: dict[str, Any]

    def __iter__(self) -> Iterator[Stage]:
        """Each is to be run before the next is asked for."""
        for shared in self.backbones.values():
            shared.describe(list(dict.fromkeys(each.strategy for each in self.candidates)))
        first = probes(self.candidates)
        if first:
            yield self.stage(first)
            if "probed" not in self.kept:
                self.choose(first)
        left = {trial["candidate"] for trial in self.kept["trials"]} - {each.name for each in first}
        if left:
            yield self.stage([each for each in self.candidates if each.name in left])

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """How much of their backbone the candidates freeze, all served by one pass over it."""
        found = {each.strategy.frozen_share for each in self.candidates}
        return tuple(sorted(share for share in found if share is not None))

    @cached_property
    def backbones(self) -> dict[Weights, Pretrained]:
        """Those that candidates share."""
        used = dict.fromkeys(each.weights for each in self.candidates if each.weights is not None)
        shape, device = self.data.image_shape, self.fabric.device
        return {weights: pretrained(weights, self.shares, shape, device) for weights in used}

    def stage(self, candidates: Sequence[Candidate]) -> Stage:
        """The runs of these candidates that the request in the folder asks for, planned where there is a time limit.
        Once planned they are resumed by the same plan, without a clock."""
        limit, names = self.options.limit(), [each.name for each in candidates]
        estimates: list[Estimate] = []
        plans, ends = [Plan.of(each) for each in self.kept.get("plan") or self.options.plan], 0.0
        none = {plan.candidate for plan in plans if not plan.epochs}
        if none & {it["candidate"] for it in self.kept["trials"]}:
            self.keep(trials=[it for it in self.kept["trials"] if it["candidate"] not in none])
        if limit is not None and not any(plan.candidate in names for plan in plans):
            estimates, ends = self.plan(limit, candidates)
            plans += (new := [each.plan for each in estimates])
            fitting = {plan.candidate for plan in new}
            trials = [it for it in self.kept["trials"] if it["candidate"] not in names or it["candidate"] in fitting]
            self.keep(plan=[*self.kept.get("plan", []), *map(str, new)], trials=trials)
        expected = {each.name: each.strategy.expected.seconds for each in candidates if each.strategy.expected}
        expected |= {each.plan.candidate: each.seconds(1) for each in estimates}
        setting = Setting(self.folder, self.options.device, self.options.image_size, self.shares, self.options.command)
        by_name = {each.name: each for each in candidates}
        trials = in_order(
            [
                trial_of(by_name[it["candidate"]], it["split"], it["seed"], setting, plans, expected)
                for it in self.kept["trials"]
                if it["candidate"] in by_name
            ]
        )
        self.keep_probes()
        if not estimates:
            return trials, None
        return trials, Timetable(candidates, estimates, trials, ends, self.keep_plan)

    def keep_plan(self, trial: Trial) -> None:
        """So that it goes on by the same plan if it is interrupted."""
        assert trial.plan is not None
        self.keep(plan=[*self.kept["plan"], str(replace(trial.plan, seed=trial.seed))])

    def keep_probes(self) -> None:
        """So that what runs later chooses as this process did, whatever becomes of the cache."""
        self.keep(probes={**self.kept.get("probes", {}), **chosen_probes()})

    def keep(self, **decided: Any) -> None:
        """Keep what was decided in request.json."""
        self.kept.update(decided)
        write_json(self.folder / runs.REQUEST, self.kept)

    def plan(self, limit: float, candidates: Sequence[Candidate]) -> tuple[list[Estimate], float]:
        """Plan what fits into what is left of `limit` seconds, and say so; returns the plans of these candidates, and
        when the last of them must be over. While it is open which backbones will be retrained, so much time is left for
        that as those take which take longest."""
        ends = self.started + (1 - RESERVE) * limit
        runs_of_each = len(self.options.seed) * len(self.data.splits)
        size = self.options.image_size
        planner = Planner(candidates, self.data, self.backbones, size, runs_of_each, self.fabric, passed=self.passed)
        if "probed" not in self.kept and probes(self.candidates):
            used = replace(planner, candidates=self.candidates).dearest(self.options.keep)
            more = [each for each in self.candidates if each.weights is None or each.weights in used]
            planner = replace(planner, candidates=list(dict.fromkeys([*candidates, *more])))
        estimates, recipes = planner.estimates(ends)
        names = [each.name for each in candidates]
        now = [each for each in estimates if each.plan.candidate in names]
        later = planner.seconds(estimates) - planner.seconds(now)
        say_plan(planner, now, recipes, names, ends - time.perf_counter())
        if later:
            say(f"  {later:.0f} s of it are for what comes then, if the {self.options.keep} dearest are retrained")
        return now, ends - later

    @property
    def passed(self) -> Shape | None:
        """The shape in which the frozen passes over all backbones are done: that in which they were probed."""
        if "probed" not in self.kept:
            return None
        names = [each.name for each in probes(self.candidates)]
        plans = [plan for each in self.kept.get("plan", []) if (plan := Plan.of(each)).candidate in names]
        sizes = [plan.image_size for plan in plans if plan.image_size is not None]
        return Shape(next(iter(sizes), None), plans[0].views if plans else None)

    def choose(self, first: Sequence[Candidate]) -> None:
        """Choose by the finished probes which backbones are retrained; the trials of the others are given up."""
        failed = self.kept.get("failed", {})
        asked = {trial["candidate"] for trial in self.kept["trials"]} - failed.keys()
        backbones = {each.name: each.weights.name for each in first if each.weights and each.name in asked}
        found = [run for run in runs.find_runs(self.folder) if run.candidate in backbones]
        val = {split.name: split.val for split in self.data.splits}
        score = SCORES[METRICS[self.options.metric]]
        probed = rank(found, backbones, val, units_of(self.data), score, self.options.keep) if backbones else []
        kept = {each.backbone for each in probed if each.is_kept}
        going = {each.name for each in self.candidates if each.weights is None or each.weights.name in kept}
        going |= {each.name for each in first}
        trials = [trial for trial in self.kept["trials"] if trial["candidate"] in going]
        self.keep(probed=[each.as_json() for each in probed], trials=trials)
        for line in ranked(probed, self.options.metric):
            say(line)


def say_plan(
    planner: Planner, estimates: Sequence[Estimate], recipes: Sequence[Estimate], names: Sequence[str], left: float
) -> None:
    """Say what was planned of the candidates of these names, and what was left out. recipes: the whole ones, of all
    that `left` seconds are for."""
    seeds, now = planner.seeds, time.time()
    whole = {each.plan.candidate: each.seconds(seeds) for each in recipes}
    needed = planner.seconds(recipes)
    say(f"{left:.0f} s of the limit are left to train in; the whole recipes take about {needed:.0f} s here")
    for each, seconds in until_ready(estimates, seeds):
        ready = time.strftime("%H:%M:%S", time.localtime(now + seconds))
        name, size = each.plan.candidate, f" at {each.plan.image_size} px" if each.plan.image_size else ""
        say(
            f"  {name:12} {each.plan.epochs:g} of {each.most:g} epochs{size}: {each.seconds(seeds):.0f} s "
            f"(whole: {whole[name]:.0f} s), ready at {ready}"
        )
    planned_names = {each.plan.candidate for each in estimates}
    for name in [name for name in names if name not in planned_names]:
        say(f"  {name:12} left out: no time for a tenth of its epochs (whole: {whole[name]:.0f} s)")
    if (total := planner.seconds(estimates)) > left:
        say(f"the least of it takes {total:.0f} s: the limit cannot be kept")


def until_ready(estimates: Sequence[Estimate], seeds: int) -> list[tuple[Estimate, float]]:
    """When the last run of each will be over, in seconds from now on: as `in_order` has them, seed by seed, before the
    first on a backbone the pass over it."""
    passes, found, clock = defaultdict[str, float](float), dict[str, float](), 0.0
    for each in estimates:
        passes[backbone_name(each.plan.candidate)] += each.pass_seconds
    quickest = sorted(estimates, key=lambda each: each.seconds(1))
    for _ in range(seeds):
        for each in quickest:
            clock += each.run_seconds
            if each.pass_seconds:
                clock += passes.pop(backbone_name(each.plan.candidate), 0.0)
            found[each.plan.candidate] = clock
    return [(each, found[each.plan.candidate]) for each in quickest]


def trial_of(
    candidate: Candidate, split: str, seed: int, setting: Setting, plans: Sequence[Plan], expected: Mapping[str, float]
) -> Trial:
    """One run, by the plan for its seed, that for all seeds of the candidate, or none."""
    seconds = expected.get(candidate.name, math.inf)
    for plan in sorted(plans, key=lambda plan: plan.seed is None):
        if plan.candidate == candidate.name and plan.seed in (seed, None):
            return Trial(planned(candidate, plan), split, seed, setting, plan, seconds)
    return Trial(candidate, split, seed, setting, None, seconds)
