"""The runners: each a row of one table, told apart by where trials are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from torch.distributed import is_torchelastic_launched

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.experiments.processes import several
from headstart.experiments.runner import run_here
from headstart.experiments.timetable import Timetable
from headstart.experiments.trackers import Tracked
from headstart.experiments.trial import Trial
from headstart.options import DASK, HERE, Options
from headstart.results import runs


class RunTrials(Protocol):
    """Runs trials; see `runner.run_here`, which says what each argument is."""

    def __call__(
        self,
        trials: Sequence[Trial],
        data: Dataset,
        tracked: Tracked,
        on_done: Callable[[runs.Run], None],
        timetable: Timetable | None = None,
        is_dropped: Callable[[Trial], bool] = ...,
        on_failed: Callable[[Trial, Exception], None] | None = ...,
    ) -> None:
        """Run them."""


@dataclass(frozen=True)
class Runner:
    """open: what gives the function that runs trials, for as long as it is open. package, extra: what must be there to
    import, and which of headstart's extras brings it."""

    open: Callable[[], AbstractContextManager[RunTrials]]
    package: str = "headstart"
    extra: str = ""


@contextmanager
def here() -> Iterator[RunTrials]:
    """In this process, one after the other."""
    yield run_here


@contextmanager
def dask() -> Iterator[RunTrials]:
    """On the cluster that Dask's configuration names, or on the cores of this machine."""
    from headstart.experiments.cluster import cluster

    with cluster() as run:
        yield run


RUNNERS = {HERE: Runner(here), DASK: Runner(dask, package="distributed", extra="cluster")}


@contextmanager
def running(options: Options) -> Iterator[RunTrials]:
    """While the runner that was asked for is open; HeadstartError, before anything is begun, where it is not installed
    or not reached."""
    name, runner = options.runner, RUNNERS[options.runner]
    if options.devices > 1 or is_torchelastic_launched():
        runner = Runner(partial(several, options.devices, options.device))
    if find_spec(runner.package) is None:
        raise HeadstartError(
            f"--runner {name} needs a package that is not here: pip install 'headstart[{runner.extra}]'"
        )
    with runner.open() as run:
        yield run
