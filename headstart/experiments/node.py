"""What a worker of a cluster does: it is sent a collection once, and gives a run folder as bytes for each trial.

All of it is called by `cluster`, through Dask, in the worker's own process: docs/cluster.md.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distributed import Worker, get_worker

from headstart import __version__
from headstart.data.dataset import Dataset, Rows, digest_of
from headstart.errors import HeadstartError, MachineError
from headstart.experiments.trial import Trial, run_trial
from headstart.results.packed import pack
from headstart.runtime.console import console
from headstart.runtime.device import hardware, kept_probes, settings_kept, take_probes
from headstart.runtime.rows import RowTable
from headstart.training.fit import Row, Watch

VERSION = 1  # of what is kept: raise it when the same image would be kept as other bytes


@dataclass(frozen=True, eq=False)
class Sent:
    """A data set as it travels: without its pixels. dataset: with no image. path, shape, rows: the file that has the
    images on the machine that sends it, which may be there by the same path here; None where it is in memory. probes:
    what the sender chose by measuring."""

    dataset: Dataset
    path: str | None
    shape: tuple[int, ...]
    rows: np.ndarray
    probes: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, data: Dataset) -> Sent:
        """A data set, made ready to travel."""
        images = data.images
        base, rows = (images.base, images.rows) if isinstance(images, Rows) else (images, np.arange(len(data)))
        path = getattr(base, "filename", None)  # of a memory map
        bare = _with_images(data, np.empty((0, *data.image_shape), np.uint8))
        return cls(bare, None if path is None else str(Path(path).absolute()), base.shape, rows, kept_probes())


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
        images = _by_path(sent)
        if images is None:
            table, digests = _table(sent.dataset.collection, sent.dataset.image_shape), sent.dataset.digests
            if not (known := table.known(digests)).all():
                return np.flatnonzero(~known)
            images = Rows(table.values(), table.find(digests))
        _HELD[comparison] = _with_images(sent.dataset, images)
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
    comparison's name, as (number, row); None at its beginning, which may be not the first."""
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
        here = replace(trial, setting=replace(trial.setting, folder=Path(folder)))
        try:
            return pack(run_trial(here, _HELD[comparison], Watch(tell, stop_unless_wanted)).folder)
        except HeadstartError as error:  # kinds of it do not travel: they are made of more than a message
            raise (MachineError if isinstance(error, MachineError) else HeadstartError)(str(error)) from None


def _by_path(sent: Sent) -> Rows | None:
    """The images in the sender's file, where this machine sees it; None where it does not, or another one."""
    if sent.path is None:
        return None
    with suppress(OSError, ValueError):
        images = Rows(np.memmap(sent.path, np.uint8, "r", shape=sent.shape), sent.rows)
        if all(digest_of(images[row]) == digest for row, digest in enumerate(sent.dataset.digests)):
            return images
    return None


def _table(collection: str, image_shape: tuple[int, ...]) -> RowTable:
    made_by = {"headstart": __version__, "version": VERSION, "sent": "as it was kept elsewhere"}
    return RowTable("images", collection, made_by, image_shape, np.uint8)


def _with_images(data: Dataset, images: np.ndarray | Rows) -> Dataset:
    made = replace(data, images=images)
    made.__dict__.update(digests=data.digests, fingerprint=data.fingerprint)
    return made
