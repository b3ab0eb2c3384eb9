"""One trial on several devices: this process, the first, does all that a comparison does; others train along with it.

The others are told what to train, draw what the first one draws, and write and say nothing: docs/decisions/devices.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError, MachineError
from headstart.experiments.runner import run_here
from headstart.experiments.sent import Sent, with_images
from headstart.experiments.timetable import Timetable
from headstart.experiments.trackers import Tracked
from headstart.experiments.trial import Trial, run_trial, train_along
from headstart.results import runs
from headstart.runtime.console import console, say
from headstart.runtime.device import Rank, make_fabric, take_probes
from headstart.runtime.failures import FAILED, one_line
from headstart.runtime.signals import SAID

GRACE = 10.0  # seconds in which a process finds by itself that another one has ended
ENDED = "{0}: what is finished is kept"


@contextmanager
def several(devices: int, device: str) -> Iterator[Callable[..., None]]:
    """A function that runs trials, as `runner.run_here` does, each of them by so many processes: those that torchrun
    started, where it did, else by this one and others that it starts.

    In another process than the first this ends the process, once the first one is done. Raises HeadstartError where
    there are fewer GPUs, or torchrun started another number.
    """
    place = _by_torchrun(devices)
    if device == "cpu" or not torch.cuda.is_available():
        torch.set_num_threads(max(1, torch.get_num_threads() // devices))
    elif devices > (gpus := torch.cuda.device_count()):
        raise HeadstartError(f"--devices {devices}: torch sees {gpus} GPU{'s' * (gpus != 1)} here")
    fabric = make_fabric(device, place or Rank(0, devices, find_free_network_port()))
    if place is not None and place.rank:
        _follow(fabric)
    started = [] if place is not None else _started(fabric, devices, device)
    is_over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(started, is_over), daemon=True)
    try:
        watcher.start()
        fabric.launch()
        yield partial(run_together, fabric)
        is_over.set()
        fabric.broadcast(None)  # who was started here is ended below: a busy machine may take minutes to end by itself
    except RuntimeError as error:  # as collectives raise where another process is gone
        if said := _ended(started, GRACE / 2):
            raise MachineError(ENDED.format(said)) from error
        raise
    finally:
        is_over.set()
        watcher.join()
        for each in started:
            each.end()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def run_together(
    fabric: Fabric,
    trials: Sequence[Trial],
    data: Dataset,
    tracked: Tracked,
    on_done: Callable[[runs.Run], None],
    timetable: Timetable | None = None,
    is_dropped: Callable[[Trial], bool] = lambda trial: False,
    on_failed: Callable[[Trial, Exception], None] | None = None,
) -> None:
    """Run trials by all processes of `fabric`; see `runner.run_here`. on_failed is not called: after a trial that one
    process could not go on with, the others would still be at it."""
    if not trials:
        return
    if timetable is not None:
        say("planned as if one device did it alone: more of them are done sooner, or give --time-limit none")
    sent = Sent.of(data)
    fabric.broadcast(("data", sent, None if sent.path is not None else np.asarray(data.images)))
    run_here(trials, data, tracked, on_done, timetable, is_dropped, run=partial(run_trial, fabric=fabric))


def _follow(fabric: Fabric) -> NoReturn:
    """Train along with the first process until it is done, and end."""
    console.quiet = True
    for name in SAID:  # whoever stops all of them stops the first one, which tells
        if hasattr(signal, name):
            signal.signal(signal.Signals[name], signal.SIG_IGN)
    fabric.launch()
    data: Dataset | None = None
    while (told := _told(fabric)) is not None:
        what, content, more = told
        if what == "data":
            images = content.by_path() if more is None else more
            if images is None:
                raise HeadstartError(f"the images in {content.path} are not seen by all processes")
            data = with_images(content.dataset, images)
        else:
            assert data is not None
            take_probes(more)
            train_along(content, data, fabric)
    torch.distributed.destroy_process_group()
    sys.exit()


def _told(fabric: Fabric) -> Any:
    """What the first process says next; ends this one where that is gone, which told why."""
    try:
        return fabric.broadcast(None)
    except RuntimeError:
        sys.exit(FAILED)


def follow(rank: int, devices: int, port: int, device: str, threads: int) -> NoReturn:
    """What a process does that `several` started; it ends with the one that started it."""
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    torch.set_num_threads(threads)
    _follow(make_fabric(device, Rank(rank, devices, port)))


def _end_with_standard_input() -> None:
    sys.stdin.buffer.read()
    os._exit(FAILED)


@dataclass(frozen=True)
class _Started:
    """A process that was started here. said: the file of what it says where it fails."""

    rank: int
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def end(self) -> None:
        """Now, whatever it is at."""
        self.process.kill()
        self.process.__exit__(None, None, None)
        self.said.close()


def _started(fabric: Fabric, devices: int, device: str) -> list[_Started]:
    """Start all but the first; they find this package where this process did."""
    place: Any = getattr(fabric.strategy, "cluster_environment")  # noqa: B009 - not every strategy has one
    root = str(Path(__file__).parents[2])
    found = []
    for rank in range(1, devices):
        asked = (rank, devices, place.main_port, device, torch.get_num_threads())
        code = f"import sys; sys.path.insert(0, {root!r}); from headstart.experiments.processes import follow; "
        said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the process has ended
        how: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": said}
        found.append(_Started(rank, subprocess.Popen([sys.executable, "-c", f"{code}follow{asked}"], **how), said))
    return found


def _by_torchrun(devices: int) -> Rank | None:
    """This process's place among those that torchrun started; None where it started none, or one alone."""
    if not torch.distributed.is_torchelastic_launched() or (there := int(os.environ["WORLD_SIZE"])) == 1:
        return None
    if there != int(os.environ["LOCAL_WORLD_SIZE"]):
        raise HeadstartError("torchrun started processes on several machines: --devices is for those of one")
    if there != devices:
        raise HeadstartError(f"torchrun started {there} processes, and --devices says {devices}: give the same")
    return Rank(int(os.environ["RANK"]), devices, int(os.environ["MASTER_PORT"]), os.environ["MASTER_ADDR"])


def _ended(started: Sequence[_Started], seconds: float = 0.0) -> str:
    """Which of them has ended, and what it said last, in words; waits so long for one to end. Empty where none has."""
    with suppress(subprocess.TimeoutExpired):
        for each in started[:1]:
            each.process.wait(seconds)
    for each in started:
        if (code := each.process.poll()) is not None:
            each.said.seek(0)
            lines = each.said.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), f"exit code {code}")
            return f"process {each.rank + 1} of {len(started) + 1} ended ({one_line(last)})"
    return ""


def _watch(started: Sequence[_Started], is_over: threading.Event) -> None:
    """End this process where another one ended unasked, and this one waits for it in a library that does not notice."""
    while not is_over.wait(1.0):
        if said := _ended(started):
            if not is_over.wait(GRACE):
                print(f"headstart: {ENDED.format(said)}", file=sys.stderr, flush=True)
                os._exit(FAILED)
            return
