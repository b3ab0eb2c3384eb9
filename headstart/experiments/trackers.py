"""Trackers that people already use: the rows of a run's history arrive there as curves, then scores and figures.

They are told beside the run folder, which stays the one thing that everything here is made from: a tracker that fails
is left alone, and training goes on. Each is a logger as Lightning Fabric has them, that can keep a file, too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric.loggers import Logger, TensorBoardLogger
from PIL import Image

from headstart.errors import HeadstartError
from headstart.options import MLFLOW, TENSORBOARD
from headstart.results import runs
from headstart.runtime.console import say
from headstart.runtime.text import shorten, shown

MLFLOW_STORE = "sqlite:///mlflow.db"  # where MLFLOW_TRACKING_URI says no other; `mlflow ui` finds it by itself
LONGEST_VALUE = 500  # letters of a parameter that MLflow takes in every version
LONGEST_REASON = 200  # letters of what a failed tracker says: servers answer with whole pages


class TensorBoard(TensorBoardLogger):
    """The curves of one run, or of none the figures of a comparison, in its folder `tensorboard`."""

    def __init__(self, comparison: Path, run: str | None, parent: str | None):
        super().__init__(comparison, name="tensorboard", version=run or "comparison", default_hp_metric=False)
        self.where = f"tensorboard --logdir {comparison.parent}"

    def keep(self, path: Path) -> None:
        """Show a picture; of other files TensorBoard makes nothing."""
        if path.suffix == ".png":
            with Image.open(path) as image:
                self.experiment.add_image(path.stem, np.asarray(image.convert("RGB")), dataformats="HWC")


class MLflow(Logger):
    """A run in MLflow's store, below that of its comparison; Fabric has no logger for it."""

    def __init__(self, comparison: Path, run: str | None, parent: str | None):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody asked us to tell of their work
        import mlflow

        store = os.environ.get("MLFLOW_TRACKING_URI", MLFLOW_STORE)
        self.client = mlflow.MlflowClient(store)
        self.where = f"mlflow ui --backend-store-uri {store}"
        found = self.client.get_experiment_by_name("headstart")
        experiment = found.experiment_id if found else self.client.create_experiment("headstart")
        tags = {} if parent is None else {"mlflow.parentRunId": parent}
        self.run = self.client.create_run(experiment, tags=tags, run_name=run or comparison.name).info.run_id

    @property
    def name(self) -> str:
        """Where all of headstart's runs lie."""
        return "headstart"

    @property
    def version(self) -> str:
        """What MLflow calls the run."""
        return self.run

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Numbers of an epoch."""
        for key, value in metrics.items():
            self.client.log_metric(self.run, key, value, step=step)

    def log_hyperparams(  # type: ignore[override]
        self, params: Mapping[str, Any], metrics: Mapping[str, float], step: int
    ) -> None:
        """What was asked for, and what came of it."""
        for key, value in params.items():
            self.client.log_param(self.run, key, str(value)[:LONGEST_VALUE])
        self.log_metrics(metrics, step)

    def keep(self, path: Path) -> None:
        """Keep a file."""
        self.client.log_artifact(self.run, str(path))

    def finalize(self, status: str) -> None:
        """The run is over; status: "success" or "failed"."""
        self.client.set_terminated(self.run, "FINISHED" if status == "success" else "FAILED")


@dataclass(frozen=True)
class Tracker:
    """name: as it is asked for. package: what must be there to import. extra: of headstart's, that brings it.

    make: (folder of the comparison, name of the run or None, version of the comparison's own logger or None) -> logger.
    """

    name: str
    package: str
    extra: str
    make: Callable[[Path, str | None, str | None], TensorBoard | MLflow]


TRACKERS = {
    tracker.name: tracker
    for tracker in (
        Tracker(TENSORBOARD, package="tensorboard", extra="tensorboard", make=TensorBoard),
        Tracker(MLFLOW, package="mlflow", extra="mlflow", make=MLflow),
    )
}


def refuse_missing(names: Sequence[str]) -> None:
    """Raise HeadstartError for a tracker that is unknown or not installed."""
    for name in names:
        if name not in TRACKERS:
            raise HeadstartError(f"unknown tracker {name!r}: choose from {', '.join(TRACKERS)}")
        if find_spec(TRACKERS[name].package) is None:
            extra = TRACKERS[name].extra
            raise HeadstartError(f"--log {name} needs a package that is not here: pip install 'headstart[{extra}]'")


@dataclass(frozen=True)
class Tracked:
    """One run, or a comparison as a whole, in every tracker that was asked for and has not failed.

    loggers: name of a tracker -> its logger. parent: the comparison's own, of a run.
    """

    loggers: dict[str, TensorBoard | MLflow]
    parent: Tracked | None = None

    def row(self, row: Mapping[str, Any]) -> None:
        """Tell of an epoch, a row of `fit`."""
        numbers = {key: value for key, value in row.items() if key != "epoch"}
        self._tell(f"epoch {row['epoch']}", methodcaller("log_metrics", numbers, step=math.ceil(row["epoch"])))

    def result(self, run: runs.Run) -> None:
        """Tell what was asked of a finished run, and all numbers that came out."""
        if not self.loggers:
            return
        config, metrics = run.config, run.metrics
        asked = {key: config[key] for key in ("seed", "device", "precision")}
        asked |= {
            "candidate": run.candidate,
            "strategy": run.strategy,
            "dataset": config["dataset"]["name"],
            **config["strategy"]["recipe"],
        }
        asked["backbone"] = (config["backbone"] or {}).get("name")
        final = {
            f"final/{key}": float(value)
            for key, value in metrics.items()
            if isinstance(value, int | float) and key not in ("seed", "epochs")
        }
        self._tell("what came out", methodcaller("log_hyperparams", asked, final, math.ceil(metrics["epochs"])))

    def pictures(self, comparison: Path) -> None:
        """Keep the figures of a comparison, its table and its report."""
        files = [*sorted((comparison / runs.FIGURES).glob("*.png")), comparison / runs.TABLE, comparison / runs.REPORT]
        for path in files:
            self._tell(path.name, methodcaller("keep", path))

    def finalize(self, status: str) -> None:
        """Tell that it is over; status: "success" or "failed"."""
        self._tell("the end", methodcaller("finalize", status))

    def leave(self, name: str, what: str, error: Exception) -> None:
        """Say that a tracker failed at `what`, and tell it of nothing more, here and in the whole comparison."""
        reason = shorten(shown(" ".join(str(error).split()) or type(error).__name__), LONGEST_REASON)
        say(f"{name} failed at {what}: {reason}; it is told no more, and training goes on without it")
        tracked: Tracked | None = self
        while tracked is not None:
            tracked.loggers.pop(name, None)
            tracked = tracked.parent

    def _tell(self, what: str, tell: Callable[[Any], None]) -> None:
        for name, logger in list(self.loggers.items()):
            try:
                tell(logger)
            except Exception as error:  # a server that is gone, a full disk: whatever a tracker may raise
                self.leave(name, what, error)


@contextmanager
def tracking(
    names: Sequence[str], comparison: Path, run: str | None = None, parent: Tracked | None = None
) -> Iterator[Tracked]:
    """While something is tracked; parent: the comparison's own, where `run` is one of its runs. A tracker that failed
    there is not begun with again."""
    tracked = Tracked({}, parent)
    parents = {} if parent is None else {name: str(logger.version) for name, logger in parent.loggers.items()}
    for name in names:
        if parent is not None and name not in parents:
            continue
        try:
            tracked.loggers[name] = TRACKERS[name].make(comparison, run, parents.get(name))
        except Exception as error:
            tracked.leave(name, "its start", error)
    if parent is None:
        for logger in tracked.loggers.values():
            say(f"tracked; to look at it: {logger.where}")
    status = "failed"
    try:
        yield tracked
        status = "success"
    finally:
        tracked.finalize(status)
