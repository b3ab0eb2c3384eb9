"""What a worker of a cluster does: it is sent a collection once, and gives a run folder as bytes for each trial.

All of it is called by `cluster`, through Dask, in the worker's own process: docs/cluster.md.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from distributed import Worker, get_worker

from headstart import __version__
from headstart.data.dataset import Dataset, Rows, digest_of
from headstart.errors import HeadstartError, MachineError
from headstart.experiments.sent import Sent, with_images
from headstart.experiments.trial import Trial, run_trial
from headstart.results import runs
from headstart.results.packed import pack
from headstart.runtime.console import console
from headstart.runtime.device import hardware, settings_kept, take_probes
from headstart.runtime.rows import RowTable
from headstart.training.fit import Row, Watch

VERSION = 1  # of what is kept: raise it when the same image would be kept as other bytes


_HELD: dict[str, Dataset] = {}  # comparison -> its data set, on this machine
_ALONE = threading.Lock()  # random generators and settings are the process's: one trial at a time, whoever asks


class StoppedError(Exception):
    """Nobody waits for the trial any more."""


def about(device: str, dask_worker: Worker) -> tuple[str, str]:
    """The device that a trial would take here, "cpu" or "cuda", and this worker's hardware in words."""
    console.quiet = True  # what is said here is said where the command was typed
    kind = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    with settings_kept():
        torch.set_num_threads(dask_worker.state.nthreads)
        return kind, hardware(torch.device(kind))


async def hold(comparison: str, sent: Sent) -> np.ndarray:
    """Have the images of a collection at hand; returns (n,) which of them have to be sent here before that can be: none
    where the sender's file is seen here too, or they were sent before."""

    def held() -> np.ndarray:
        images = sent.by_path()
        if images is None:
            table, digests = _table(sent.dataset.collection, sent.dataset.image_shape), sent.dataset.digests
            if not (known := table.known(digests)).all():
                return np.flatnonzero(~known)
            images = Rows(table.values(), table.find(digests))
        _HELD[comparison] = with_images(sent.dataset, images)
        take_probes(sent.probes)
        return np.arange(0)

    return await asyncio.to_thread(held)  # in this thread the worker says that it is alive


async def keep(collection: str, digests: np.ndarray, images: np.ndarray) -> int:
    """Keep images (n, H, W, 3) uint8 of a collection in this machine's cache; returns how many. HeadstartError where
    their digests are others."""

    def kept() -> int:
        if any(digest_of(pixels) != digest for pixels, digest in zip(images, digests, strict=True)):
            raise HeadstartError("the images came damaged")
        with _table(collection, images.shape[1:]).filling(digests) as fill:
            fill.values[fill.rows] = images[fill.wanted]
            fill.keep(range(len(fill.wanted)))
        return len(images)

    return await asyncio.to_thread(kept)


async def take(comparison: str, dask_worker: Worker) -> bool:
    """Be given the comparison's trials from now on, one at a time, as the scheduler is told by a resource."""
    await dask_worker.set_resources(**{comparison: 1})
    return True


async def leave(comparison: str, dask_worker: Worker) -> None:
    """The comparison is over."""
    _HELD.pop(comparison, None)
    await dask_worker.set_resources(**{comparison: 0})


def work(comparison: str, number: int, trial: Trial) -> dict[str, bytes]:
    """Run a trial by all threads of this worker; returns its run folder. Every row of its history is told under the
    comparison's name, as (number, row); None at its beginning, which may be not the first. Where this worker sees the
    comparison's own folder, checkpoints are kept there, and it goes on from the last of whoever began."""
    worker, key = get_worker(), get_worker().get_current_task()

    def tell(row: Row | None) -> None:
        worker.log_event(comparison, (number, row))

    def stop_unless_wanted(images: int = 0) -> None:
        if (task := worker.state.tasks.get(key)) is None or task.state != "executing":
            raise StoppedError

    with _ALONE, settings_kept(), tempfile.TemporaryDirectory(dir=worker.local_directory) as folder:
        torch.set_num_threads(worker.state.nthreads)
        stop_unless_wanted()
        tell(None)
        own = trial.setting.folder
        begun = own if mark_of(own, comparison).exists() else None
        here = replace(trial, setting=replace(trial.setting, folder=Path(folder), begun=begun))
        try:
            return pack(run_trial(here, _HELD[comparison], Watch(tell, stop_unless_wanted)).folder)
        except HeadstartError as error:  # kinds of it do not travel: they are made of more than a message
            raise (MachineError if isinstance(error, MachineError) else HeadstartError)(str(error)) from None


def mark_of(folder: Path, comparison: str) -> Path:
    """A file beside the checkpoints by which a worker tells that it sees the same folder under its path."""
    return folder / runs.CHECKPOINTS / f".{comparison}"


def _table(collection: str, image_shape: tuple[int, ...]) -> RowTable:
    made_by = {"headstart": __version__, "version": VERSION, "sent": "as it was kept elsewhere"}
    return RowTable("images", collection, made_by, image_shape, np.uint8)
