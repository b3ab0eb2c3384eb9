"""A runner executes trials: this one here, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headstart.data.dataset import Dataset
from headstart.experiments.trackers import Tracked, tracking
from headstart.experiments.trial import Trial, run_trial
from headstart.results import runs
from headstart.runtime.console import Job, live
from headstart.training.fit import Row, Watch


def run_here(trials: Sequence[Trial], data: Dataset, tracked: Tracked, on_done: Callable[[runs.Run], None]) -> None:
    """Run trials in this process, those of one split and seed together, and of these the quickest first, so that there
    is soon something to look at.

    tracked: the comparison in its trackers, which get each run too. on_done: called after every trial.
    """
    rounds = list(dict.fromkeys((trial.split, trial.seed) for trial in trials))
    trials = sorted(trials, key=lambda trial: (rounds.index((trial.split, trial.seed)), expected_seconds(trial)))
    jobs = [Job(trial.name, trial.candidate.name, trial.candidate.strategy.recipe.epochs) for trial in trials]
    measured = {trial.candidate.name: trial.plan.epoch_seconds for trial in trials if trial.plan is not None}
    with live(jobs, measured) as board:
        for trial, job in zip(trials, jobs, strict=True):
            with (
                tracking(list(tracked.loggers), trial.setting.folder, trial.name, tracked) as run_tracked,
                board.running(job),
            ):

                def on_row(row: Row, job: Job = job, tracked: Tracked = run_tracked) -> None:
                    board.validated(job, row)
                    tracked.row(row)

                def on_batch(images: int, job: Job = job, of_all: int = len(data.on(trial.split).train)) -> None:
                    board.advance(job, images / of_all)

                run = run_trial(trial, data, Watch(on_row, on_batch))
                run_tracked.result(run)
            on_done(run)


def expected_seconds(trial: Trial) -> float:
    """What decides which trial is quicker: its plan, or what its recipe took where that was measured."""
    if trial.plan is not None:
        return trial.plan.seconds(1)
    expected = trial.candidate.strategy.expected
    return float("inf") if expected is None else expected.seconds
