"""Being told to stop: by Ctrl-C, by whoever ends a process (SIGTERM), by a batch system before it does (SIGUSR1).

The first one ends what runs as soon as the present batch of images is over, the next one at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAID = {"SIGINT": "interrupted", "SIGTERM": "ended (SIGTERM)", "SIGUSR1": "warned (SIGUSR1), and ended"}


class Stopped(KeyboardInterrupt):
    """A signal asked for an end. It is a KeyboardInterrupt, so that whoever lets that pass lets this pass."""

    def __init__(self, number: int):
        super().__init__(SAID[signal.Signals(number).name])
        self.number = number


@contextmanager
def taking_signals() -> Iterator[None]:
    """For the command line: SAID's signals raise Stopped, within `whole_batches` when a batch is over. A second one
    ends the process as the system does. One that is ignored, as under nohup, stays so."""
    if threading.current_thread() is not threading.main_thread():  # nobody else may say what signals do
        yield
        return
    numbers = [signal.Signals[name] for name in SAID if hasattr(signal, name)]
    before = {each: signal.getsignal(each) for each in numbers}
    taken = [each for each in numbers if before[each] != signal.SIG_IGN]

    def asked(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
        if not _BATCHES:
            raise Stopped(number)
        _ASKED.append(number)

    for each in taken:
        signal.signal(each, asked)
    try:
        yield
    finally:
        _ASKED.clear()
        for each in taken:
            signal.signal(each, before[each])


@contextmanager
def whole_batches() -> Iterator[None]:
    """While batches are trained on, each of which is to be whole; who does that calls `stop_if_asked` after each, and
    once afterwards, for what came after the last."""
    _BATCHES.append(True)
    try:
        yield
    finally:
        _BATCHES.pop()


def stop_if_asked() -> None:
    """Raise Stopped where a signal asked for an end meanwhile."""
    if _ASKED:
        raise Stopped(_ASKED[0])


_ASKED: list[int] = []  # signals that wait for the end of a batch
_BATCHES: list[bool] = []
