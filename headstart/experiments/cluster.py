"""Trials on a cluster, by Dask distributed: docs/cluster.md, and why it is so: docs/decisions/cluster.md.

A worker takes one trial at a time and gives its run folder as bytes; this process alone writes. In which order trials
finish changes nothing: a run is kept, and a candidate dropped, when all folds before it are settled.
"""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster
from distributed.versions import VersionMismatchWarning

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError, MachineError
from headstart.experiments import node
from headstart.experiments.runners import RunTrials
from headstart.experiments.timetable import Timetable
from headstart.experiments.trackers import Tracked, tracking
from headstart.experiments.trial import Trial, tell
from headstart.experiments.workers import LOOK_SECONDS, Workers
from headstart.results import runs
from headstart.results.packed import unpack
from headstart.runtime.console import Board, Job, live, say
from headstart.runtime.failures import one_line, told
from headstart.training.fit import Row

THREADS = 4  # of a trial, where several run side by side on one machine: docs/decisions/cluster.md


@contextmanager
def cluster() -> Iterator[RunTrials]:
    """A function that runs trials, as `runner.run_here` does, on the cluster that DASK_SCHEDULER_ADDRESS or another of
    Dask's settings names, or else by processes on the cores of this machine.

    Raises HeadstartError where nothing answers at the address.
    """
    address = dask.config.get("scheduler-address", None)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", VersionMismatchWarning)  # who has other versions is told by `Workers`
        if address is None:
            address = stack.enter_context(of_this_machine())
        try:
            client = stack.enter_context(Client(address, set_as_default=False))
        except (OSError, ValueError) as error:
            said = one_line(str(error)) or type(error).__name__
            raise HeadstartError(f"no Dask scheduler at {address} ({said}): see DASK_SCHEDULER_ADDRESS") from None
        yield partial(run_on, client)


@contextmanager
def of_this_machine() -> Iterator[LocalCluster]:
    """Processes on the cores of this machine: so many that each has THREADS of them, or one that has all."""
    workers = max(1, CPU_COUNT // THREADS)
    try:
        # Else what is set before a process is spawned would be set for this one, for good.
        with not_interrupted(), dask.config.set({"distributed.nanny.pre-spawn-environ": {}}):
            found = LocalCluster(
                n_workers=workers,
                threads_per_worker=CPU_COUNT // workers,
                memory_limit=0,  # no other than has a trial that runs alone
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.ERROR,
            )
    except RuntimeError as error:
        raise HeadstartError(
            f"no processes can be started here ({one_line(str(error))}): a script that asks for runner='dask' does so "
            "below `if __name__ == '__main__':`"
        ) from None
    with found:
        yield found


@contextmanager
def not_interrupted() -> Iterator[None]:
    """Processes started meanwhile do not hear Ctrl-C, which a terminal sends to them too: this one stops them."""
    if threading.current_thread() is not threading.main_thread():  # nobody else may say what signals do
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run_on(
    client: Client,
    trials: Sequence[Trial],
    data: Dataset,
    tracked: Tracked,
    on_done: Callable[[runs.Run], None],
    timetable: Timetable | None = None,
    is_dropped: Callable[[Trial], bool] = lambda trial: False,
    on_failed: Callable[[Trial, Exception], None] | None = None,
) -> None:
    """Run trials on a cluster; see `runner.run_here`. One that fails, for whatever reason, is missing, the others go
    on; on_failed is not called. The timetable is not kept: the plan that the trials have is one for this machine alone,
    and its clock would make a result depend on who was quick.

    Raises MachineError, at the end, where some did not come back, each of which was said: all others are kept.
    """
    if not trials:
        return
    if timetable is not None:
        say("planned as if this machine did it all alone: a cluster is done sooner, or give --time-limit none")
    jobs = [Job(each.name, each.candidate.name, each.candidate.strategy.recipe.epochs) for each in trials]
    events: SimpleQueue[tuple[int, Row | Future | None]] = SimpleQueue()
    workers = Workers(client, data, trials[0].setting.device)
    folder = trials[0].setting.folder.absolute()
    mark = node.mark_of(folder, workers.name)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    with live(jobs, {}) as board:
        course = Course(trials, jobs, board, tracked, on_done, is_dropped)
        client.subscribe_topic(workers.name, lambda event: events.put(tuple(event[1])))

        def begin(number: int, trial: Trial) -> Future:
            trial = replace(trial, setting=replace(trial.setting, folder=folder, device=workers.device))
            asked = {"resources": {workers.name: 1}, "pure": False, "key": f"{workers.name}-{number}"}
            future = client.submit(node.work, workers.name, number, trial, **asked)
            future.add_done_callback(lambda done: events.put((number, done)))
            return future

        try:
            while course.left:
                workers.look()
                course.begin(len(workers.ready), begin)
                with suppress(Empty):
                    course.hear(*events.get(timeout=LOOK_SECONDS))
        finally:
            course.stop()
            client.unsubscribe_topic(workers.name)
            workers.close()
            mark.unlink(missing_ok=True)
    if course.missing:
        raise MachineError(f"{len(course.missing)} of {len(trials)} runs are missing: {', '.join(course.missing)}")


class Course:
    """Trials on their way.

    left: numbers of those that are not settled: kept, dropped or missing. begun: number -> future. came: number -> the
    files that came back, kept as soon as all folds before are settled. missing: names of those that failed.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        jobs: Sequence[Job],
        board: Board,
        tracked: Tracked,
        on_done: Callable[[runs.Run], None],
        is_dropped: Callable[[Trial], bool],
    ):
        self.trials, self.jobs, self.board, self.tracked = trials, jobs, board, tracked
        self.on_done, self.is_dropped = on_done, is_dropped
        self.left = set(range(len(trials)))
        self.begun: dict[int, Future] = {}
        self.came: dict[int, Mapping[str, bytes]] = {}
        self.missing: list[str] = []
        self.shown = {number: ExitStack() for number in self.left}  # in the live view
        self.folds = list(dict.fromkeys(trial.split for trial in trials))
        self._open_fold()

    def begin(self, most: int, begin: Callable[[int, Trial], Future]) -> None:
        """Begin trials, in their order, until so many are under way: a worker has one, so that the next goes to the one
        that is free first."""
        for number in sorted(self.left - self.begun.keys()):
            if len((self.begun.keys() & self.left) - self.came.keys()) >= most:
                break
            self.begun[number] = begin(number, self.trials[number])

    def hear(self, number: int, what: Row | Future | None) -> None:
        """Be told of a trial: that it begins (None), a row of its history, or that it is over."""
        job = self.jobs[number]
        if number not in self.left:
            return
        if isinstance(what, Future):
            self._over(number, what)
        elif what is None:  # maybe anew, on another worker
            job.done = job.told = 0.0
            self.shown[number].close()
            job.is_over = False
            self.shown[number].enter_context(self.board.running(job))
        elif what["epoch"] > job.told:
            self.board.validated(job, what)

    def stop(self) -> None:
        """Nobody waits for those that are under way any more."""
        for number in self.begun.keys() & self.left:
            with suppress(OSError, RuntimeError):
                self.begun[number].cancel()

    def _over(self, number: int, future: Future) -> None:
        trial = self.trials[number]
        if future.status == "cancelled":
            raise MachineError("the cluster's scheduler went away")
        try:
            self.came[number] = future.result()
        except Exception as error:  # whatever a trial may raise, or the death of several workers
            say(f"{trial.name} failed: {told(error)[1]}")
            self.missing.append(trial.name)
            self._settled(number)
        future.release()
        self._settle()

    def _settle(self) -> None:
        """Keep what came back of the fold whose turn it is; once it is settled, it is the next one's turn."""
        while self.folds:
            of_fold = [number for number in sorted(self.left) if self.trials[number].split == self.folds[0]]
            for number in of_fold:
                if number in self.came:
                    self._keep(number)
            if any(number in self.left for number in of_fold):
                return
            del self.folds[0]
            self._open_fold()

    def _open_fold(self) -> None:
        """Drop, before a fold's runs are kept, the candidates that are behind after those before it."""
        for number in sorted(self.left) if self.folds else ():
            if self.trials[number].split == self.folds[0] and self.is_dropped(self.trials[number]):
                self._settled(number)
                if number in self.begun:
                    self.begun[number].cancel()

    def _keep(self, number: int) -> None:
        trial = self.trials[number]
        run = unpack(self.came.pop(number), trial.folder)
        self._settled(number)
        tell(trial, run.metrics)
        with tracking(list(self.tracked.loggers), trial.setting.folder, trial.name, self.tracked) as run_tracked:
            for row in run.history.to_dict("records"):
                run_tracked.row({str(key): value for key, value in row.items()})
            run_tracked.result(run)
        self.on_done(run)

    def _settled(self, number: int) -> None:
        self.left.discard(number)
        self.came.pop(number, None)
        self.shown[number].close()
        self.jobs[number].is_over = True
