"""What becomes of an exception, whatever raised it: one line of what happened and what to do, and a log of it all.

docs/decisions/failures.md
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError, MachineError
from headstart.runtime.places import cache_place
from headstart.runtime.signals import Stopped
from headstart.runtime.text import plain_where_needed, shorten, shown

FAILED, USER_ERROR, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141  # exit codes; from 128 on as shells count signals
LOGS = "logs"  # folder of the cache
LONGEST = 200  # letters of what a library said


@dataclass(frozen=True)
class Known:
    """A kind of failure that may come out of any library. signs: found in "<type>: <message>". said: what it is, and
    what to do about it; {place} is the file where one is known, {text} what the library said."""

    signs: str
    said: str


MEMORY = Known(
    r"out of memory|^MemoryError|can't allocate memory|not enough memory|Cannot allocate memory|ALLOC_FAILED",
    "out of memory: take a smaller --image-size, fewer strategies, or close other programs",
)
KNOWN = (
    Known(
        r"No space left|quota exceeded|database or disk is full|os error (28|122)\b",
        "the disk is full{place}: make room, or name another place (--output, HEADSTART_CACHE, TMPDIR)",
    ),
    MEMORY,
    Known(
        r"BrokenProcessPool|TerminatedWorker|^KilledWorker|worker process .*terminated",
        "a process that did part of the work was killed, as memory ran out, most likely: free some, run again",
    ),
    Known(r"can't start new thread|^BlockingIOError", "no further process or thread may be started: see `ulimit -u`"),
    Known(r"Too many open files", "too many files are open at once: see `ulimit -n`"),
    Known(r"File too large|os error 27\b", "a file is larger than may be written here{place}: see `ulimit -f`"),
    Known(
        r"Read-only file system|attempt to write a readonly|unable to open database file|os error 30\b",
        "a file system or database cannot be written{place}: name another place (--output, HEADSTART_CACHE)",
    ),
    Known(
        r"^PermissionError|Permission denied",
        "no right to read or write{place}: change its rights, or name another place",
    ),
    Known(
        r"database disk image is malformed|file is not a database",
        "a database of the cache is damaged: `headstart cache clear` removes it, and it is made again",
    ),
    Known(r"database is locked", "another program holds a database of the cache: end it, and run again"),
    Known(r"CUDA error|cuDNN error|CUBLAS_STATUS", "the GPU failed: --device cpu does without it"),
    Known(
        r"^(ModuleNotFound|Import)Error",
        "a package that headstart needs is missing or broken ({text}): install headstart again",
    ),
    Known(r"^Unicode(Encode|Decode)Error", "a text cannot be written or read in this encoding: set PYTHONUTF8=1"),
)


def known(error: BaseException) -> str | None:
    """What happened and what to do, in a line, where an exception or one that caused it is of a kind that any machine
    may give; None for others, which are mistakes."""
    chain = list(_chain(error))
    for each in chain:
        text = f"{type(each).__name__}: {each}"
        for kind in KNOWN:
            if re.search(kind.signs, text):
                place = getattr(each, "filename", None)
                where = f" ({shown(str(place))})" if place else ""
                return kind.said.format(place=where, text=shorten(one_line(str(each)), LONGEST))
    for each in chain:
        if isinstance(each, OSError) and each.strerror:
            return f"{each.strerror}" + (f": {shown(str(each.filename))}" if each.filename else "")
    return None


def lacks_memory(error: BaseException) -> bool:
    """Whether it was raised as memory did not suffice, of the machine or of its GPU."""
    return known(error) == MEMORY.said


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, then what caused it or was being handled, outermost first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


@contextmanager
def machine_errors() -> Iterator[None]:
    """For what Python calls: `known` exceptions of libraries leave as a MachineError, with their notes; others as they
    are. Serves as a decorator too."""
    try:
        yield
    except (HeadstartError, BrokenPipeError):  # the latter is whoever reads our output: no failure
        raise
    except Exception as error:
        if (said := known(error)) is None:
            raise
        raised = MachineError(said)
        for note in getattr(error, "__notes__", ()):
            raised.add_note(note)
        raise raised from error


@contextmanager
def ending_in_a_line() -> Iterator[None]:
    """For the command line: whatever leaves the block ends the process with one line on standard error and an exit
    code. Standard output is flushed within it, so that its reader may have gone and its disk may be full."""
    plain_where_needed(sys.stdout, sys.stderr)
    try:
        try:
            yield
        finally:
            _flush(sys.stdout)
    except SystemExit:
        raise
    except BrokenPipeError:  # the reader of a pipe has seen enough: no reason for a word
        _hush(sys.stdout, sys.stderr)
        sys.exit(PIPE_CLOSED)
    except BaseException as error:
        code, line = told(error)
        try:
            print(f"headstart: {line}", file=sys.stderr)
        except OSError:
            _hush(sys.stderr)
        sys.exit(code)


def told(error: BaseException) -> tuple[int, str]:
    """The exit code, and what a person reads: what happened, what to do, what is kept, where all of it is written."""
    kept = list(getattr(error, "__notes__", ()))[-1:]
    if isinstance(error, KeyboardInterrupt):
        code = 128 + error.number if isinstance(error, Stopped) else INTERRUPTED
        return code, "; ".join([str(error) or "interrupted", *(kept or ["nothing was begun"])])
    if isinstance(error, HeadstartError) and not isinstance(error, MachineError):
        return USER_ERROR, one_line(str(error))
    if isinstance(error, MachineError) and error.__cause__ is None:  # found by looking, not by failing
        return FAILED, one_line("; ".join([str(error), *kept]))
    log = _log(error)
    if isinstance(error, MachineError):
        said = str(error)
    elif (found := known(error)) is not None:
        said = found
    else:
        said = f"a mistake of headstart's own, {type(error).__name__}: {shorten(str(error), LONGEST)}"
        kept += ["please report it with the log"] if log else []
    return FAILED, one_line("; ".join([said, *kept, log or _place_of(error)]))


def one_line(text: str) -> str:
    """A text without line breaks and other control characters."""
    return shown(" ".join(text.split()))


def _log(error: BaseException) -> str:
    """Write the traceback to a file, in the cache, or else where temporary files go; what to say of it, empty where
    neither takes it."""
    name = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{os.getpid()}.log"
    content = f"{sys.argv}\n{sys.version}\n\n{''.join(traceback.format_exception(error))}"
    for folder in (lambda: cache_place() / LOGS, lambda: Path(tempfile.gettempdir()) / "headstart-logs"):
        with suppress(OSError):
            place = folder()
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(content, encoding="utf-8", errors="backslashreplace")
            return f"log: {place / name}"
    return ""


def _place_of(error: BaseException) -> str:
    """Where it was raised: for want of a log."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"raised in {frames[-1].filename}, line {frames[-1].lineno}" if frames else "raised nowhere"


def _flush(stream: Any) -> None:
    if stream is None:  # closed by who started us
        return
    try:
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _hush(stream)
        raise OSError(error.errno, error.strerror, "standard output") from error


def _hush(*streams: Any) -> None:
    """Let what is left in the buffers go nowhere: Python would try once more at its end, and complain."""
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):  # no stream, or none that is a file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
