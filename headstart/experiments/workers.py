"""Who may be given trials: workers of a cluster that have the versions of this machine, and the images."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from distributed import Client

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError, MachineError
from headstart.experiments import node
from headstart.experiments.sent import Sent
from headstart.runtime.console import say
from headstart.runtime.failures import one_line
from headstart.runtime.text import shorten

SAME = ("headstart", "torch", "distributed")  # packages whose versions must be those of this machine
CHUNK_BYTES = 2**26  # of images, in one message
LOOK_SECONDS = 1.0  # from one look at who is there to the next
LONGEST = 200  # letters of what a worker said


class Workers:
    """Those of a cluster that take part in one comparison; each is looked at when it comes, also later than others.

    name: the comparison's, on the cluster. device: "cpu" or "cuda": the same for all trials, so that none of them
    depends on where it is run. ready: addresses. refused: address -> why.
    """

    def __init__(self, client: Client, data: Dataset, device: str):
        self.client, self.data, self.device = client, data, device
        self.sent = Sent.of(data)
        self.name = f"headstart-{uuid4().hex}"
        self.ready: dict[str, str] = {}  # address -> hardware
        self.refused: dict[str, str] = {}
        self.processes: dict[str, str] = {}  # address -> of which process it was when it was last looked at
        self.looked, self.is_waiting, self.were_ready = -LOOK_SECONDS, False, False

    def look(self) -> None:
        """Prepare those who came, and forget those who went; HeadstartError where all that are there are refused, and
        MachineError where the scheduler is gone."""
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        with self._scheduler():
            there: dict[str, str] = self.client.run_on_scheduler(
                lambda dask_scheduler: {each: worker.server_id for each, worker in dask_scheduler.workers.items()}
            )
            if gone := {each for each in self.ready if there.get(each) != self.processes[each]}:
                self.ready = {address: self.ready[address] for address in self.ready.keys() - gone}
                say(f"{_counted(len(gone))} gone, {len(self.ready)} left: what they were at is done again by others")
            if new := sorted(there.keys() - self.ready.keys() - self.refused.keys()):
                self._admit(new)
            self.processes = there
        self.were_ready |= bool(self.ready)  # then they may come back
        if there and not self.ready and not self.were_ready and self.refused.keys() >= there.keys():
            address, why = next(iter(self.refused.items()))
            raise HeadstartError(f"no worker of {self.where} can be used; {address}: {why}")
        if not self.ready and not self.is_waiting:
            say(f"{self.where} has no worker: waiting for one")
        self.is_waiting = not self.ready
        self.looked = time.monotonic()

    @property
    def where(self) -> str:
        """The cluster, in words."""
        return f"the cluster at {self.client.scheduler.address}"

    def close(self) -> None:
        """Tell them that it is over."""
        with suppress(OSError, ValueError, RuntimeError):  # they, or the scheduler, may have gone before us
            self.client.run(node.leave, self.name, workers=list(self.ready), on_error="ignore")

    def _admit(self, new: list[str]) -> None:
        """Give each of them the images and, to the scheduler, a resource that a trial asks for."""
        versions: Any = self.client.get_versions(packages=SAME)
        mine = versions["client"]["packages"]
        for address in new:
            theirs = (versions["workers"].get(address) or {}).get("packages", mine)
            if other := [name for name in mine if _plain(theirs.get(name)) != _plain(mine[name])]:
                has = f"it has {other[0]} {_plain(theirs.get(other[0]))}, and this machine {_plain(mine[other[0]])}"
                self._refuse(address, has)
        fitting = [address for address in new if address not in self.refused]
        kinds = {address: kind for address in fitting if (kind := self._ask(address, node.about, self.device))}
        if self.device == "auto" and kinds:
            self.device = max(kind for kind, _ in kinds.values())  # "cuda" where one has it
        taken = []
        for address, (kind, hardware) in kinds.items():
            if kind != self.device:
                self._refuse(address, f"it has no CUDA device, and the trials are for {self.device}")
            elif self._send(address):
                self.ready[address] = hardware
                taken.append(hardware)
        for hardware, count in Counter(taken).items():
            say(f"{_counted(count)} ready at {self.where}, {len(self.ready)} in all: {hardware}")

    def _send(self, address: str) -> bool:
        """Send what a worker lacks of the images, and let it be given trials; whether all of that came about."""
        lacks = self._ask(address, node.hold, self.name, self.sent)
        if lacks is None:
            return False
        step = max(1, CHUNK_BYTES // self.data.images[:1].nbytes)
        for start in range(0, len(lacks), step):
            some = lacks[start : start + step]
            content = (self.data.collection, self.data.digests[some], self.data.images[some])
            if self._ask(address, node.keep, *content) is None:
                return False
        if len(lacks):
            say(f"{len(lacks):,} images were sent to {address}")
            if self._ask(address, node.hold, self.name, self.sent) is None:
                return False
        return self._ask(address, node.take, self.name) is not None

    def _ask(self, address: str, function: Callable[..., Any], *content: Any) -> Any:
        """What a function gives on a worker; None where the worker went away, or is refused now as it cannot do it."""
        answer = self.client.run(function, *content, workers=[address], on_error="return").get(address)
        if isinstance(answer, OSError) and answer.errno is not None:  # without one, it could not be reached
            self._refuse(address, f"{type(answer).__name__}: {answer}")
        elif isinstance(answer, Exception) and not isinstance(answer, OSError):
            self._refuse(address, f"{answer}" if isinstance(answer, HeadstartError) else repr(answer))
        return None if isinstance(answer, Exception) else answer

    def _refuse(self, address: str, why: str) -> None:
        self.refused[address] = shorten(one_line(why), LONGEST)
        say(f"worker {address} is left out: {self.refused[address]}")

    @contextmanager
    def _scheduler(self) -> Iterator[None]:
        """While the scheduler is asked something: MachineError where it is gone."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise MachineError(f"{self.where} does not answer any more ({one_line(str(error))[:LONGEST]})") from None


def _plain(version: str | None) -> str:
    """A version, without what it was built for; of Python's, which has five parts, the first two."""
    parts = (version or "none").split("+")[0].split(".")
    return ".".join(parts[:2] if len(parts) == 5 else parts)


def _counted(workers: int) -> str:
    return f"{workers} worker{' is' if workers == 1 else 's are'}"
