"""A runner executes trials: this one here, one after the other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from headstart.data.dataset import Dataset
from headstart.experiments.timetable import Timetable
from headstart.experiments.trackers import Tracked, tracking
from headstart.experiments.trial import Trial, run_trial
from headstart.results import runs
from headstart.runtime.console import Board, Job, live
from headstart.runtime.failures import lacks_memory
from headstart.training.fit import Row, Watch


def run_here(
    trials: Sequence[Trial],
    data: Dataset,
    tracked: Tracked,
    on_done: Callable[[runs.Run], None],
    timetable: Timetable | None = None,
    is_dropped: Callable[[Trial], bool] = lambda trial: False,
    on_failed: Callable[[Trial, Exception], None] | None = None,
    run: Callable[[Trial, Dataset, Watch], runs.Run] | None = None,
) -> None:
    """Run trials in this process, in this order.

    tracked: the comparison in its trackers, which get each run too. on_done: called after every trial. timetable: what
    keeps them to a time limit. is_dropped: asked before each trial whether it is still worth its time. on_failed: told
    of a trial for which memory did not suffice, after which the others go on (None: nothing goes on). run: what runs
    one (default: `run_trial`).
    """
    jobs = [Job(trial.name, trial.candidate.name, trial.candidate.strategy.recipe.epochs) for trial in trials]
    with live(jobs, timetable.epoch_seconds if timetable else {}) as board:
        for trial, job in zip(trials, jobs, strict=True):
            if is_dropped(trial):
                job.is_over = True
                if timetable is not None:
                    timetable.end()
                continue
            if timetable is not None:
                trial = timetable.begin(trial)
            with (
                tracking(list(tracked.loggers), trial.setting.folder, trial.name, tracked) as run_tracked,
                board.running(job),
            ):
                watch = watching(job, board, run_tracked, len(data.on(trial.split).train), timetable)
                job.epochs = trial.candidate.strategy.recipe.epochs
                try:
                    done = (run or run_trial)(trial, data, watch)
                    run_tracked.result(done)
                except Exception as error:
                    if on_failed is None or not lacks_memory(error):
                        raise
                    done = None
                    on_failed(trial, error)
            if timetable is not None:
                timetable.end()
            if done is None:
                gc.collect()  # now that the exception, and with it what it held of the trial, is gone
            else:
                on_done(done)


def watching(job: Job, board: Board, tracked: Tracked, images: int, timetable: Timetable | None) -> Watch:
    """Everybody who is told of a job as it trains on so many images."""

    def on_row(row: Row) -> None:
        board.validated(job, row)
        tracked.row(row)
        if timetable is not None:
            timetable.validated(row)

    def epochs(done: float) -> float | None:
        assert timetable is not None
        found = timetable.epochs(done)
        job.epochs = job.epochs if found is None else found
        return found

    return Watch(on_row, lambda count: board.advance(job, count / images), epochs if timetable else None)


def in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Trials of one split and seed together, and of these the quickest first, so that there is soon something to look
    at."""
    rounds = list(dict.fromkeys((trial.split, trial.seed) for trial in trials))
    return sorted(trials, key=lambda trial: (rounds.index((trial.split, trial.seed)), trial.seconds))
