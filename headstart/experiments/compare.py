"""Train every candidate on every split with every seed, evaluate them alike, and leave a folder that tells of it."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from headstart.errors import HeadstartError, MachineError
from headstart.evaluation.scores import METRICS, SCORES
from headstart.experiments import trackers
from headstart.experiments.final import train_on_all
from headstart.experiments.first_look import first_look
from headstart.experiments.found import Found, find_backbones
from headstart.experiments.runners import RunTrials, running
from headstart.experiments.stages import Stages
from headstart.experiments.trackers import Tracked
from headstart.experiments.trial import Trial, candidates_for, pretrained
from headstart.experiments.trivial import answers
from headstart.options import OF_DATA, OF_LOADING, OF_RESULT, Options
from headstart.report import images
from headstart.report.card import write_card
from headstart.report.html import write_report, write_waiting
from headstart.report.words import so_far
from headstart.results import runs
from headstart.results.checksums import put_aside, write_checksums
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.doubts import Audited
from headstart.results.files import write_json
from headstart.results.passes import dropped
from headstart.results.request import begin, read_request
from headstart.results.trivial import write_answers
from headstart.results.writing import new_folder, refuse_parts, refuse_taken, writing
from headstart.runtime.console import say
from headstart.runtime.device import choosing_as, describe, make_fabric, precision_of, settings_kept
from headstart.runtime.failures import known, machine_errors
from headstart.strategies import Candidate, probes
from headstart.values import given

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
def run_comparison(
    data: Data, options: Options, started: float | None = None, whole: Mapping[str, Any] | None = None
) -> Comparison:
    """`compare`, with its options read. started: when it was asked for, by `time.perf_counter` (None: now). whole: the
    request of the learning curve that it is a size of; it begins with what that has found."""
    started = time.perf_counter() if started is None else started
    given("data", data, data_or_name)
    refuse_taken(options.output)
    trackers.refuse_missing(options.log)
    begun = (None if options.output is None else read_request(options.output)) or whole
    with settings_kept(), choosing_as(begun.get("probes", {}) if begun else {}), running(options) as run_trials:
        fabric = make_fabric(options.device)
        backbones = find_backbones(options, begun)
        data = data_of(data, options)
        for line in summary(data):
            say(line)
        request = Request(options, data, backbones, fabric, started, run_trials)
        try:
            return request.fulfil(examine(data, options.strict))
        finally:
            pretrained.cache_clear()


@dataclass(frozen=True)
class Request:
    """A comparison that is to be made. started: when it was asked for, by `time.perf_counter`."""

    options: Options
    data: Dataset
    backbones: Found
    fabric: Fabric
    started: float
    run_trials: RunTrials

    def fulfil(self, found: Audit) -> Comparison:
        """Run what is not finished yet, and write the comparison and its report after every run."""
        options, data = self.options, self.data
        candidates = candidates_for(options, len(data.train), self.backbones.weights)
        if probes(candidates) and not any(len(split.val) for split in data.splits):
            raise HeadstartError(
                f"which of several backbones to retrain is told by val, and {data.name} has no image in it: name one"
            )
        say(f"on {describe(self.fabric)}, {precision_of(self.fabric)}")
        folder = options.output or new_folder(data.name)
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder, options.command):
            kept = begin(folder, "comparison", self.as_json(candidates), options.command)
            if not (folder / runs.TRIVIAL).exists():
                write_answers(folder, answers(data), data.class_names)
            left = [trial for trial in kept["trials"] if not runs.is_run(runs.run_folder(folder, **trial))]
            refuse_parts(runs.run_folder(folder, **trial) for trial in left)
            if done := len(kept["trials"]) - len(left):
                say(f"{folder}: {done} of {len(kept['trials'])} runs were finished before")
            if before := self.finished(folder, kept):
                return before
            put_aside(folder)  # it is not finished any more
            write_json(folder / runs.AUDIT, found.as_json())
            if kept.pop("failed", None):  # they are tried again
                write_json(folder / runs.REQUEST, kept)
            stages = Stages(options, data, self.fabric, self.started, folder, candidates, kept)
            with trackers.tracking(options.log, folder) as tracked:
                trials = self.run(stages, tracked, is_new=not done)
                comparison = compare_runs(folder, **options.of_verdict)
                if comparison.folds and comparison.classifier != folder / runs.CLASSIFIER:
                    name = comparison.recommended
                    if taken := next((trial for trial in trials if trial.candidate.name == name), None):
                        train_on_all(taken, comparison.passes[name], data)
                    else:
                        say(f"{name} was not asked for, but lies there: it is not trained once more on all images")
                comparison.save()
                images.keep_pictures(comparison, data)
                write_report(comparison)
                write_card(comparison)
                tracked.pictures(folder)
            shutil.rmtree(folder / runs.CHECKPOINTS, ignore_errors=True)  # of who was dropped meanwhile
            write_checksums(folder)
        return comparison

    def finished(self, folder: Path, kept: Mapping[str, Any]) -> Comparison | None:
        """What lies in a folder, where all that was asked for is there and told as is asked for now."""
        if not runs.is_finished(folder) or kept.get("failed") or not runs.find_runs(folder):
            return None
        found = compare_runs(folder)
        return found if found.is_complete and found.verdict.asked == self.options.of_verdict else None

    def run(self, stages: Stages, tracked: Tracked, is_new: bool) -> list[Trial]:
        """Run what is left of each stage; returns all their trials. What fails for want of memory is kept as failed,
        and raised where nothing else was finished. is_new: whether nothing was run before."""
        trials: list[Trial] = []
        is_dropped = partial(self.is_dropped, stages)

        def on_failed(trial: Trial, error: Exception) -> None:
            name, why = trial.candidate.name, known(error)
            say(f"{name} failed: {why}; the others go on")
            stages.keep(failed={**stages.kept.get("failed", {}), name: why})

        for stage, timetable in stages:
            if is_new and stage and not trials:
                self.look(stages.folder, stage)
            trials += stage
            left = [trial for trial in stage if not runs.is_run(trial.folder)]
            on_done = partial(self.report_so_far, stages)
            self.run_trials(left, self.data, tracked, on_done, timetable, is_dropped, on_failed)
        if (failed := stages.kept.get("failed")) and not runs.find_runs(stages.folder):
            raise MachineError(next(iter(failed.values())))
        return trials

    def as_json(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """All that the trained weights follow from, as request.json keeps it."""
        options, data = self.options.as_json(), self.data
        return {
            "headstart": __version__,
            "options": {key: options[key] for key in OF_RESULT if key in options},
            "dataset": {"name": data.name, "fingerprint": data.fingerprint, "train": len(data.train), "fit": data.fit},
            "weights": self.backbones.as_json(*KEPT_OF_WEIGHTS),
            "strategies": {each.name: asdict(each.strategy) for each in candidates},
            "trials": [
                {"candidate": each.name, "split": split.name, "seed": seed + place * len(self.options.seed)}
                for place, split in enumerate(data.splits)  # a network of another fold has another seed
                for seed in self.options.seed
                for each in candidates
            ],
            **({"missing": dict(self.backbones.missing)} if self.backbones.missing else {}),
        }

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

    def is_dropped(self, stages: Stages, trial: Trial) -> bool:
        """Whether a trial's candidate failed, or is clearly behind after the folds before its own; the first to be
        found so is said."""
        failed = stages.kept.get("failed", {})
        if trial.candidate.name in failed:
            return True
        planned = [each for each in stages.kept["trials"] if each["candidate"] not in failed]
        folder, probed = stages.folder, {each["candidate"] for each in stages.kept.get("probed", [])}
        found, audited = runs.find_runs(folder), Audited.of(folder, len(self.data.tested))
        gone = dropped(found, planned, SCORES[METRICS[self.options.metric]], audited.clean, audited.units, probed)
        place = [split.name for split in self.data.splits].index(trial.split)
        if (after := gone.get(trial.candidate.name, math.inf)) > place:
            return False
        if after == place:
            behind = f"{trial.candidate.name} is clearly behind after {place} fold{'s' * (place > 1)}"
            say(f"{behind}: it is not trained on the others")
        return True

    def report_so_far(self, stages: Stages, run: runs.Run) -> None:
        """Write the comparison and its report from the runs that are finished, `run` the last of them; that which ends
        it all waits for the pictures. What was chosen by measuring is kept too, for those that may follow later."""
        folder = stages.folder
        stages.keep_probes()
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
