"""The folder that a comparison or a learning curve is written in: made or refused, this process's alone, and rid of
what a killed one left half written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.files import TEMPORARY
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import shown

NOTHING_YET = re.compile(  # what a process that was killed at its very beginning leaves
    rf"{re.escape(runs.LOCK)}|\.{re.escape(runs.REQUEST)}.*{re.escape(TEMPORARY)}"
)


def new_folder(dataset: str, root: Path = runs.ROOT) -> Path:
    """Make an empty folder for a comparison: the next free number under `root`."""
    root.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(dataset) + r"-(\d+)")
    taken = [int(match[1]) for path in root.iterdir() if (match := pattern.fullmatch(path.name))]
    number = max(taken, default=0) + 1
    while True:  # another process may take a number between the look and the making
        try:
            (folder := root / f"{dataset}-{number}").mkdir()
            return folder
        except FileExistsError:
            number += 1


def refuse_taken(output: Path | None, what: str = "comparison") -> None:
    """Raise HeadstartError when `output` (None: a new folder below `runs.ROOT`) is a file, or a folder that holds
    something other than one of ours to go on with, and where nothing can be written there; what: "comparison" or
    "learning curve". No run is ever overwritten."""
    if output is not None and os.path.lexists(output):
        others = not output.is_dir() or any(not NOTHING_YET.fullmatch(path.name) for path in output.iterdir())
        if others and not (output / runs.REQUEST).exists():
            raise HeadstartError(
                f"{output} is not an empty folder: name a new one with --output, nothing is overwritten"
            )
        if (output / runs.REQUEST).exists() and (found := runs.kind_of(output)) != what:
            raise HeadstartError(f"{output} holds a {found}, no {what}: name a new one with --output")
    refuse_unwritable(output or runs.ROOT, "name another place with --output")


def refuse_parts(places: Iterable[Path]) -> None:
    """Raise HeadstartError where something else than a finished run lies where one is to be: nothing is overwritten."""
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            raise HeadstartError(
                f"{shown(place)} holds a part of a run, without {runs.METRICS}: bring it back, or move the folder away"
            )


@contextmanager
def writing(folder: Path, command: str | None = None) -> Iterator[None]:
    """While this process writes in a folder; HeadstartError where another one does. Whatever else leaves the block has
    a note of what is kept, and how to go on. What killed processes left half written is removed. command: what was
    typed; None where this is called from Python."""
    lock = FileLock(folder / runs.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HeadstartError(f"{folder} is being written by another process: wait for it, or name another") from None
    try:
        _remove_left_overs(folder)
        yield
    except BaseException as error:
        error.__notes__ = [_kept(folder, command)]  # of a curve's sizes, for the curve
        raise
    finally:
        (folder / runs.LOCK).unlink(missing_ok=True)  # while it is held: it may be another's right after
        lock.release()


def _remove_left_overs(folder: Path) -> None:
    """Remove what a killed process was writing; nobody else writes here."""
    for path in [*folder.rglob(f".*{TEMPORARY}"), *folder.rglob(".*-????????")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name.endswith(TEMPORARY):
            path.unlink(missing_ok=True)


def _kept(folder: Path, command: str | None) -> str:
    """What of a folder is kept when work in it ends early, and how to go on."""
    finished = sum(1 for _ in folder.rglob(runs.METRICS))
    told = f"{finished} finished run{' is' if finished == 1 else 's are'} kept" if finished else "no run was finished"
    begun = (
        " and the epochs of the one that was begun" if any((folder / runs.CHECKPOINTS).rglob("*.safetensors")) else ""
    )
    kept = f"{told}{begun}" if finished or not begun else f"the epochs{begun.removeprefix(' and the epochs')} are kept"
    if command is not None and (folder / runs.REQUEST).exists():
        return f"{kept}: `headstart resume {shlex.quote(shown(folder))}` goes on"
    return f"{kept}: the same with --output {shown(folder)} goes on"
