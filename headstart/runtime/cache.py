"""What is kept between runs: where, under one limit in bytes, and how it gets there whole or not at all.

<kind>/<collection>-<key>/   an entry: a folder with entry.json, which says what made it, or a file
<kind>/.<entry>.lock         held while an entry is written, claimed or removed
<kind>/.<entry>.<n>.use      held by a process for as long as it uses the entry
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from glob import escape
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import uuid4

from filelock import FileLock, Timeout

from headstart.errors import HeadstartError, MachineError
from headstart.runtime.console import say
from headstart.runtime.failures import LOGS, known
from headstart.runtime.places import cache_place, why_unwritable

if TYPE_CHECKING:
    import pandas as pd

LIMIT_GB = 20.0  # of all that is kept, unless $HEADSTART_CACHE_GB says otherwise
LEFT_OVER_SECONDS = 24 * 3600  # a temporary folder that nobody has touched for so long is nobody's
MADE_AGAIN = ("images", "resized", "activations", "tables")  # kinds that cost time alone, no network
OUTDATED = ("decoded", "duplicates", "traits")  # kinds of earlier versions, which nothing reads
DOWNLOADS = "cifar10"
BROWSER = "browser"  # what runs a network in one, downloaded too
PROBES = "probes"  # measurements by which engines are chosen: by others results have other bits
KINDS = (*MADE_AGAIN, *OUTDATED, DOWNLOADS, BROWSER, "files", PROBES, LOGS)  # folders; others are not ours to touch
ABOUT = "entry.json"
TAKES_NO_MORE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}

Given = ParamSpec("Given")
Made = TypeVar("Made")


class FullError(MachineError):
    """The disk of the cache has not the room that is wanted."""


def cache_dir() -> Path:
    """Where what is computed is kept: `cache_place`. Where that cannot be written, which is said once, a temporary
    folder for this process alone, with the downloads and measurements that are there."""
    place = cache_place()
    if place not in _USED:
        reason = why_unwritable(place)
        _USED[place] = place if reason is None else _for_this_process(place, reason)
    return _USED[place]


def kept_or_not(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """A function that keeps in the cache what it makes: where the cache takes no more of it, which is said, all of it
    is made once more with a temporary folder for this process alone."""

    @wraps(make)
    def made(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        place = cache_place()
        used = cache_dir()
        try:
            return make(*args, **kwargs)
        except (OSError, sqlite3.OperationalError, FullError) as error:
            if used != place or not _takes_no_more(error):
                raise
            if _USED[place] == place:  # nobody within has done so
                _USED[place] = _for_this_process(place, _reason(error))
            return make(*args, **kwargs)

    return made


def _takes_no_more(error: Exception) -> bool:
    return error.errno in TAKES_NO_MORE if isinstance(error, OSError) else "locked" not in str(error)


def _reason(error: Exception) -> str:
    return "it has no more room" if isinstance(error, FullError) else str(getattr(error, "strerror", None) or error)


_USED: dict[Path, Path] = {}  # place -> where that is kept which should be there


def _for_this_process(place: Path, reason: str) -> Path:
    instead = "HEADSTART_CACHE=DIR names another place"
    try:
        folder = Path(tempfile.mkdtemp(prefix="headstart-cache-"))
    except OSError as error:
        raise MachineError(
            f"neither the cache {place} ({reason}) nor a temporary folder ({error.strerror}) can be written: {instead}"
        ) from None
    say(f"the cache {place} cannot be written, {reason}: what is computed now is not kept; {instead}")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for kind in (DOWNLOADS, BROWSER, PROBES):
        (folder / kind).mkdir()
        for file in (place / kind).glob("[!.]*"):
            (folder / kind / file.name).symlink_to(file.absolute())
    return folder


def not_kept(error: Exception) -> None:
    """Say, once, that something small could not be kept; it is computed anew next time."""
    if not _NOT_KEPT:
        say(f"not all that is computed can be kept in {cache_dir()}: {known(error) or error}")
    _NOT_KEPT.append(error)


_NOT_KEPT: list[Exception] = []


def limit_bytes() -> float:
    """What the cache may take on disk; HeadstartError where $HEADSTART_CACHE_GB is no number above 0."""
    text = os.environ.get("HEADSTART_CACHE_GB", "")
    try:
        limit = float(text) if text else LIMIT_GB
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise HeadstartError(f"HEADSTART_CACHE_GB must be a number of gigabytes above 0, not {text!r}")
    return 1e9 * limit


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A new folder on the same disk as `beside`, so that a file made in it can be renamed to it; gone afterwards."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}-", dir=beside.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Entry:
    """One thing in the cache. made_by: what its key was made from, empty for single files."""

    path: Path
    size_bytes: int
    used: float
    made_by: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Such as "images" or "activations"."""
        return self.path.parent.name

    @property
    def collection(self) -> str:
        """The data set that it belongs to; "any" where it belongs to none alone."""
        return str(self.made_by.get("collection", "any"))


def entries() -> list[Entry]:
    """All that the cache holds, what was not used for longest first."""
    found = []
    for kind in (cache_place() / name for name in KINDS):
        for path in kind.iterdir() if kind.is_dir() else ():
            if not path.name.startswith("."):
                try:
                    found.append(Entry(path, _size(path), path.stat().st_mtime, _made_by(path)))
                except FileNotFoundError:  # removed by another process meanwhile
                    continue
    return sorted(found, key=lambda entry: entry.used)


def open_entry(kind: str, made_by: Mapping[str, Any], key: str) -> Path:
    """The folder of an entry, made where it is not there, and claimed: nothing removes it while this process lives."""
    path = cache_dir() / kind / f"{made_by['collection']}-{key}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path):
        if not (path / ABOUT).exists():
            path.mkdir(exist_ok=True)
            temporary = path / f".{ABOUT}.{os.getpid()}"
            temporary.write_text(json.dumps(made_by, indent=2), encoding="utf-8")
            temporary.replace(path / ABOUT)
        if path not in _CLAIMS:
            _CLAIMS[path] = _claim(path)
    os.utime(path)
    return path


def _claim(path: Path) -> FileLock:
    """Hold the first of the lock files of an entry that no living process holds."""
    for number in count():
        claim = FileLock(path.parent / f".{path.name}.{number}.use")
        with suppress(Timeout):
            claim.acquire(timeout=0)
            break
    return claim


_CLAIMS: dict[Path, FileLock] = {}  # what this process uses; the system lets go of them when it ends, however it ends


def lock(path: Path) -> FileLock:
    """The lock of an entry: for who writes it, claims it or removes it."""
    return FileLock(path.parent / f".{path.name}.lock")


def remove(entry: Entry) -> bool:
    """Remove an entry whole; False, and it stays, where a process uses it."""
    path = entry.path
    try:
        with lock(path).acquire(timeout=0):
            for claim in path.parent.glob(f".{escape(path.name)}.*.use"):
                with FileLock(claim).acquire(timeout=0):  # nobody's: its process has ended
                    claim.unlink(missing_ok=True)
            if path.is_dir():
                gone = path.with_name(f".{path.name}-{uuid4().hex[:8]}")
                path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


def make_room(wanted_bytes: float) -> None:
    """Remove the entries that were not used for longest until `wanted_bytes` more stay below the limit and have room on
    the disk, and what killed processes left half made. What is in use stays, and so do downloads.

    Raises FullError where the disk is too full all the same.
    """
    root = cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    _remove_left_overs(root)
    held = entries()
    excess = sum(entry.size_bytes for entry in held) + wanted_bytes - limit_bytes()
    for entry in held:
        if excess <= 0 and shutil.disk_usage(root).free >= wanted_bytes:
            break
        if entry.kind in MADE_AGAIN + OUTDATED and remove(entry):
            excess -= entry.size_bytes
    if excess > 0:
        limit = f"{limit_bytes() / 1e9:g} GB"
        say(f"the cache grows beyond its {limit} by {excess / 1e9:.1f} GB: the rest is in use or downloaded")
    free = shutil.disk_usage(root).free
    if free < wanted_bytes:
        raise FullError(
            f"{root} has {free / 1e9:.1f} GB free and {wanted_bytes / 1e9:.1f} GB are to go there: "
            "make room, name another path in HEADSTART_CACHE, or take a smaller --image-size"
        )


def kept_table(collection: str, what: str, key: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The small table that `make` gives, kept under a key of all that it is made from."""
    import pandas as pd  # half a second: only for those who keep tables

    path = cache_dir() / "tables" / collection / f"{what}-{key}.parquet"
    try:
        table = pd.read_parquet(path)
        os.utime(path.parent)
        return table
    except (OSError, ValueError):  # not there, or damaged: pyarrow's errors are ValueErrors
        table = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock(path.parent), temporary_folder(path) as folder:
            table.to_parquet(folder / path.name)
            (folder / path.name).replace(path)
    except OSError as error:
        not_kept(error)
    return table


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _made_by(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not an entry of rows: a table, a download or a measurement
        return {"collection": {"tables": path.name, "cifar10": "cifar10"}.get(path.parent.name, "any")}


def _remove_left_overs(root: Path) -> None:
    for path in [path for kind in KINDS for path in root.glob(f"{kind}/.*")] + [*root.glob("tables/*/.*")]:
        with suppress(FileNotFoundError):  # its owner has just removed it
            if path.is_dir() and time.time() - path.stat().st_mtime > LEFT_OVER_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
