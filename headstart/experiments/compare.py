"""Train every candidate on every split with every seed, evaluate them alike, and leave a folder that tells of it."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from headstart import __version__
from headstart.data.audit import Audit, audit
from headstart.data.dataset import Dataset
from headstart.data.folds import SPLIT_SEED, in_folds
from headstart.data.labels import checked
from headstart.data.load import limited, load
from headstart.data.summary import summary
from headstart.errors import HeadstartError
from headstart.evaluation.scores import METRICS, SCORES
from headstart.experiments import trackers
from headstart.experiments.final import train_on_all
from headstart.experiments.first_look import first_look
from headstart.experiments.planning import Estimate, Planner
from headstart.experiments.runner import in_order
from headstart.experiments.runners import RunTrials, running
from headstart.experiments.timetable import Timetable
from headstart.experiments.trial import Setting, Trial, candidates_for, find_weights, planned, pretrained
from headstart.experiments.trivial import answers
from headstart.options import OF_DATA, OF_LOADING, OF_RESULT, Options
from headstart.plan import Plan
from headstart.report import images
from headstart.report.card import write_card
from headstart.report.html import write_report, write_waiting
from headstart.report.words import so_far
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.doubts import Audited
from headstart.results.files import write_json
from headstart.results.passes import dropped
from headstart.results.request import begin
from headstart.results.trivial import write_answers
from headstart.runtime.console import say
from headstart.runtime.device import describe, make_fabric, precision_of, settings_kept
from headstart.runtime.failures import machine_errors
from headstart.strategies import Candidate, Weights
from headstart.training.preparation import Pretrained
from headstart.values import given

RESERVE = 0.03  # of a time limit: for what is not measured
KEPT_OF_WEIGHTS = ("name", "image_size", "sha256")

Data = Dataset | Callable[[], Dataset] | str | Path


def compare(data: Data = "cifar10", strategies: Sequence[str] | None = None, **options: Any) -> Comparison:
    """Train, evaluate and compare strategies; everything is written to a new folder, `runs/<data set>-<n>` or `output`.

    data: a data set, a name or place for `load`, or a function that gives one, called when all else has been found
    good. strategies and the other options: the fields of `options.Options`, which say what each is. Where `output`
    holds a comparison that was asked for with the same options, it is resumed: runs that are finished there are not
    trained again. Torch's settings and random generators are afterwards as they were before. Raises
    HeadstartError for whatever of this cannot be had, before anything is trained.
    """
    if strategies is not None:
        options["strategies"] = strategies
    return run_comparison(data, Options.of(options))


@machine_errors()
def run_comparison(data: Data, options: Options, started: float | None = None) -> Comparison:
    """`compare`, with its options read. started: when it was asked for, by `time.perf_counter` (None: now)."""
    started = time.perf_counter() if started is None else started
    given("data", data, data_or_name)
    runs.refuse_taken(options.output)
    trackers.refuse_missing(options.log)
    with settings_kept(), running(options.runner) as run_trials:
        fabric = make_fabric(options.device)
        weights = find_weights(options)
        data = data_of(data, options)
        for line in summary(data):
            say(line)
        request = Request(options, data, weights, fabric, started, run_trials)
        try:
            return request.fulfil(examine(data, options.strict))
        finally:
            pretrained.cache_clear()


@dataclass(frozen=True)
class Request:
    """A comparison that is to be made. started: when it was asked for, by `time.perf_counter`."""

    options: Options
    data: Dataset
    weights: Weights | None
    fabric: Fabric
    started: float
    run_trials: RunTrials

    def fulfil(self, found: Audit) -> Comparison:
        """Run what is not finished yet, and write the comparison and its report after every run."""
        options, data = self.options, self.data
        candidates = candidates_for(options, len(data.train), self.weights)
        say(f"on {describe(self.fabric)}, {precision_of(self.fabric)}")
        folder = options.output or runs.new_folder(data.name)
        folder.mkdir(parents=True, exist_ok=True)
        with runs.writing(folder, options.command):
            kept = begin(folder, "comparison", self.as_json(candidates), options.command)
            trials, timetable = self.trials(folder, candidates, kept)
            write_json(folder / runs.AUDIT, found.as_json())
            if not (folder / runs.TRIVIAL).exists():
                write_answers(folder, answers(data), data.class_names)
            left = [trial for trial in trials if not runs.is_run(trial.folder)]
            if len(left) < len(trials):
                say(f"{folder}: {len(trials) - len(left)} of {len(trials)} runs were finished before")
            if (
                not left
                and runs.is_finished(folder)
                and (before := compare_runs(folder)).verdict.asked == options.of_verdict
            ):
                return before
            if len(left) == len(trials):
                self.look(folder, trials)
            with trackers.tracking(options.log, folder) as tracked:
                is_dropped = partial(self.is_dropped, folder, kept["trials"])
                self.run_trials(left, data, tracked, lambda run: self.report_so_far(folder), timetable, is_dropped)
                comparison = compare_runs(folder, **options.of_verdict)
                if comparison.folds and comparison.classifier != folder / runs.CLASSIFIER:
                    taken = next(trial for trial in trials if trial.candidate.name == comparison.recommended)
                    train_on_all(taken, comparison.passes[comparison.recommended], data)
                comparison.save()
                images.keep_pictures(comparison, data)
                write_report(comparison)
                write_card(comparison)
                tracked.pictures(folder)
            shutil.rmtree(folder / runs.CHECKPOINTS, ignore_errors=True)  # of who was dropped meanwhile
            write_checksums(folder)
        return comparison

    def as_json(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """All that the trained weights follow from, as request.json keeps it."""
        options, data, weights = self.options.as_json(), self.data, self.weights
        return {
            "headstart": __version__,
            "options": {key: options[key] for key in OF_RESULT},
            "dataset": {"name": data.name, "fingerprint": data.fingerprint, "train": len(data.train), "fit": data.fit},
            "weights": None if weights is None else {key: getattr(weights, key) for key in KEPT_OF_WEIGHTS},
            "strategies": {each.name: asdict(each.strategy) for each in candidates},
            "trials": [
                {"candidate": each.name, "split": split.name, "seed": seed + place * len(self.options.seed)}
                for place, split in enumerate(data.splits)  # a network of another fold has another seed
                for seed in self.options.seed
                for each in candidates
            ],
        }

    def trials(
        self, folder: Path, candidates: Sequence[Candidate], kept: dict[str, Any]
    ) -> tuple[list[Trial], Timetable | None]:
        """The runs that the request in the folder asks for, in order, and what keeps them to a time limit, if there is
        one. Once planned they are resumed by the same plan, without a clock."""
        shares = tuple(sorted({e.strategy.frozen_share for e in candidates if e.strategy.frozen_share is not None}))
        shared, size = self._pretrained(shares), self.options.image_size
        runs_of_each = len(self.options.seed) * len(self.data.splits) + (len(self.data.splits) > 1)  # and once on all
        if shared is not None:
            shared.describe([each.strategy for each in candidates])
        estimates: list[Estimate] = []
        plans = [Plan.of(each) for each in kept.get("plan") or self.options.plan]
        limit = self.options.limit()
        if not plans and limit is not None:
            estimates = self.plan(limit, Planner(candidates, self.data, shared, size, runs_of_each, self.fabric))
            plans = [each.plan for each in estimates]
            fitting = [trial for trial in kept["trials"] if trial["candidate"] in {plan.candidate for plan in plans}]
            kept |= {"plan": [str(each) for each in plans], "trials": fitting}
            write_json(folder / runs.REQUEST, kept)
        expected = {each.name: each.strategy.expected.seconds for each in candidates if each.strategy.expected}
        expected |= {each.plan.candidate: each.seconds(1) for each in estimates}
        setting = Setting(folder, self.options.device, size, shares, self.options.command)
        by_name = {each.name: each for each in candidates}
        trials = in_order(
            [
                trial_of(by_name[it["candidate"]], it["split"], it["seed"], setting, plans, expected)
                for it in kept["trials"]
            ]
        )
        if limit is None or not estimates:
            return trials, None

        def keep_plan(trial: Trial) -> None:
            """So that it goes on by the same plan if it is interrupted."""
            assert trial.plan is not None
            kept["plan"].append(str(replace(trial.plan, seed=trial.seed)))
            write_json(folder / runs.REQUEST, kept)

        return trials, Timetable(candidates, estimates, trials, self.started + (1 - RESERVE) * limit, keep_plan)

    def look(self, folder: Path, trials: Sequence[Trial]) -> None:
        """Say what is known within the first minute, on the screen and on the page that will be the report."""
        candidates = [trial.candidate for trial in trials]
        limit = self.options.limit()
        found = first_look(candidates, self.data, self.fabric, trials[0].setting, self.started, limit)
        if found is not None:
            say(found.said)
            coming = ", ".join(dict.fromkeys(trial.candidate.name for trial in trials))
            page = write_waiting(folder, self.data.name, found.headline, [f"{found.said}.", f"To come: {coming}."])
            say(f"so far: {page}")

    def plan(self, limit: float, planner: Planner) -> list[Estimate]:
        """Plan what fits into what is left of `limit` seconds, and say so."""
        left = max(1.0, (1 - RESERVE) * limit - (time.perf_counter() - self.started))
        estimates, recipes = planner.estimates(left)
        seeds, clock = planner.seeds, time.time()
        whole = {each.plan.candidate: each.seconds(seeds) for each in recipes}
        say(f"planned for {left:.0f} s; the whole recipes take about {sum(whole.values()):.0f} s here")
        for each in sorted(estimates, key=lambda each: each.seconds(1)):
            clock += each.seconds(seeds)
            ready = time.strftime("%H:%M:%S", time.localtime(clock))
            name, size = each.plan.candidate, f" at {each.plan.image_size} px" if each.plan.image_size else ""
            say(
                f"  {name:12} {each.plan.epochs:g} of {each.most:g} epochs{size}: {each.seconds(seeds):.0f} s "
                f"(whole: {whole[name]:.0f} s), ready at {ready}"
            )
        for name in whole.keys() - {each.plan.candidate for each in estimates}:
            say(f"  {name:12} left out: no time for a tenth of its epochs (whole: {whole[name]:.0f} s)")
        if (total := sum(each.seconds(seeds) for each in estimates)) > left:
            say(f"the least of it takes {total:.0f} s: the limit cannot be kept")
        return estimates

    def _pretrained(self, shares: tuple[float, ...]) -> Pretrained | None:
        if self.weights is None:
            return None
        return pretrained(self.weights, shares, self.data.image_shape, self.fabric.device)

    def is_dropped(self, folder: Path, planned: Sequence[Mapping[str, Any]], trial: Trial) -> bool:
        """Whether a trial's candidate is clearly behind after the folds before its own; the first to be found so is
        said."""
        found, audited = runs.find_runs(folder), Audited.of(folder, len(self.data.tested))
        gone = dropped(found, planned, SCORES[METRICS[self.options.metric]], audited.clean, audited.units)
        place = [split.name for split in self.data.splits].index(trial.split)
        if (after := gone.get(trial.candidate.name, math.inf)) > place:
            return False
        if after == place:
            behind = f"{trial.candidate.name} is clearly behind after {place} fold{'s' * (place > 1)}"
            say(f"{behind}: it is not trained on the others")
        return True

    def report_so_far(self, folder: Path) -> None:
        """Write the comparison and its report from the runs that are finished; the last one waits for the pictures."""
        comparison = compare_runs(folder, **self.options.of_verdict)
        if comparison.is_complete:
            return
        comparison.save()
        write_report(comparison)
        seconds = time.perf_counter() - self.started
        say(
            f"{len(comparison.runs)} of {comparison.planned} runs are finished after {seconds:.0f} s: "
            f"{so_far(comparison)}; so far: {folder / runs.REPORT}"
        )


def trial_of(
    candidate: Candidate, split: str, seed: int, setting: Setting, plans: Sequence[Plan], expected: Mapping[str, float]
) -> Trial:
    """One run, by the plan for its seed, that for all seeds of the candidate, or none."""
    seconds = expected.get(candidate.name, math.inf)
    for plan in sorted(plans, key=lambda plan: plan.seed is None):
        if plan.candidate == candidate.name and plan.seed in (seed, None):
            return Trial(planned(candidate, plan), split, seed, setting, plan, seconds)
    return Trial(candidate, split, seed, setting, None, seconds)


def data_or_name(value: Any) -> Data:
    """A data set, or what gives one: a reader for `values.given`."""
    if not (isinstance(value, Dataset | str | Path) or callable(value)):
        raise ValueError("is no data set, name, folder or CSV, nor a function that gives one")
    return value


def data_of(data: Data, options: Options) -> Dataset:
    """The data set that is meant, loaded where it was not; HeadstartError for options that come too late for it."""
    found = _loaded(data, options)
    found = in_folds(found, options.folds, SPLIT_SEED)
    return found if options.train_limit is None else limited(found, options.train_limit)


def _loaded(data: Data, options: Options) -> Dataset:
    if isinstance(data, str | Path):
        return load(data, **{key: getattr(options, key) for key in OF_DATA})
    if late := options.changed(*OF_LOADING):
        raise HeadstartError(f"{late[0]} is for data that `load` is to find: give it to `load`")
    found = data if isinstance(data, Dataset) else data()
    if not isinstance(found, Dataset):
        raise HeadstartError(f"data: the function gave no data set, but a {type(found).__name__}")
    return checked(found)


def examine(data: Dataset, strict: bool) -> Audit:
    """Audit a data set and say what was found; HeadstartError for a fault where `strict`."""
    found = audit(data)
    for line in found.lines(examples=1):
        say(line)
    if strict and found.faults:
        raise HeadstartError(f"--strict stops at {data.name}: {found.faults[0].said}; `headstart check` tells all")
    return found
