"""Rows of one shape in the cache, each kept once and found by a key of its content: docs/decisions/cache.md.

    rows.bin       the rows, one after the other; memory-mapped, so that none is read before it is used
    index.sqlite   key -> row, the seconds it took, and what else is known of it

A row counts once its line in the index is committed, after the file was flushed to disk: what a killed process left is
written over. One process fills an entry at a time, and finds there what others have computed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from headstart.runtime.cache import lock, make_room, open_entry
from headstart.runtime.console import say

Keys = Sequence[str] | np.ndarray
MISSING = -1
ROWS, INDEX, FILL_LOCK = "rows.bin", "index.sqlite", "fill.lock"
COPIED_BYTES = 2**26  # at a time, from an entry of another collection
ASKED = 2**16  # keys at a time that are looked up
COMMIT_SECONDS = 1.0  # from one commit to the next: each takes milliseconds, for some rows or for thousands
SCHEMA = "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row INTEGER, seconds REAL, about TEXT) WITHOUT ROWID"


class RowTable:
    """Rows (*shape) of one dtype of one collection, all made in the same way.

    made_by: all that a row depends on beside its content, versions included: where one differs, it is another entry.
    """

    def __init__(
        self, kind: str, collection: str, made_by: Mapping[str, Any], shape: tuple[int, ...], dtype: type[np.generic]
    ):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.row_bytes = math.prod(shape) * self.dtype.itemsize
        whole = {**made_by, "shape": list(shape), "dtype": self.dtype.name}
        key = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = open_entry(kind, {"collection": collection, **whole}, key)
        if self.folder not in _LOOKED_AT:  # once: it reads the whole index, 2 MB in 4 ms
            with lock(self.folder):
                _drop_damaged(self.folder)
            _LOOKED_AT.add(self.folder)
        self._same = f"*-{key}"

    def find(self, keys: Keys) -> np.ndarray:
        """The row of each key: (N,) int64, MISSING where there is none."""
        found = self._said("row", keys)
        rows = np.fromiter((MISSING if row is None else row for row in found), np.int64, len(keys))
        return np.where(rows < len(self.values()), rows, MISSING)  # more where the file lost its end

    def values(self, writable: bool = False) -> np.ndarray:
        """All rows (M, *shape), memory-mapped; writing to them changes nothing on disk unless `writable`."""
        path = self.folder / ROWS
        count = path.stat().st_size // self.row_bytes if path.exists() else 0
        if not count:
            return np.empty((0, *self.shape), self.dtype)
        shape = (count, *self.shape)
        if writable:
            return np.memmap(path, self.dtype, "r+", shape=shape)
        try:
            return np.memmap(path, self.dtype, "c", shape=shape)
        except OSError:  # Linux copies on write no file that is larger than its memory: nobody may write to that one
            return np.memmap(path, self.dtype, "r", shape=shape)

    def seconds(self, keys: Keys) -> float:
        """What the rows of these keys took to compute, whenever that was."""
        return float(sum(each or 0.0 for each in self._said("seconds", keys)))

    def about(self, keys: Keys) -> Iterator[dict[str, Any]]:
        """What was said of each key when it was kept; empty where nothing is known."""
        return (json.loads(about or "{}") for about in self._said("about", keys))

    @contextmanager
    def filling(self, keys: Keys) -> Iterator[Fill]:
        """While rows are computed for those of `keys` that are missing; others who want them wait."""
        with _patiently(FileLock(self.folder / FILL_LOCK)):
            self._copy_known(keys)
            fill = Fill(self, keys, self._missing(keys))
            try:
                yield fill
            finally:
                fill.commit()

    def known(self, keys: Keys) -> np.ndarray:
        """Whether each key was kept, with a row or with an error: (N,) bool."""
        whole, found = len(self.values()), self._said("row", keys)
        return np.fromiter((row is not None and row < whole for row in found), bool, len(keys))

    def _missing(self, keys: Keys) -> np.ndarray:
        """Where the keys that are not known stand, the first time that each is there."""
        missing = np.flatnonzero(~self.known(keys))
        first = {keys[place]: place for place in missing[::-1]}
        return np.sort(np.fromiter(first.values(), np.int64, len(first)))

    def _said(self, column: str, keys: Keys) -> Iterator[Any]:
        """What the index says of each key, None where it has none: asked of some at a time, so that memory does not
        grow with the keys."""
        query = f"SELECT key, {column} FROM (SELECT value FROM json_each(?)) CROSS JOIN rows ON key = value"
        for start in range(0, len(keys), ASKED):
            some = keys[start : start + ASKED]
            asked = json.dumps(sorted(set(some)))  # in the order of the index: a fifth of the time of another order
            with closing(_connect(self.folder)) as index:
                known = dict(index.execute(query, [asked]))
            yield from map(known.get, some)

    def _copy_known(self, keys: Keys) -> None:
        """Take over rows that an entry of another collection has, made in the same way."""
        step = max(1, COPIED_BYTES // self.row_bytes)
        for folder in self.folder.parent.glob(self._same):
            missing = self._missing(keys)
            if folder == self.folder or not missing.size:
                continue
            other = copy(self)
            other.folder = folder
            with lock(folder):  # so that nobody removes it meanwhile
                _drop_damaged(folder)
                found = missing[other.known(np.asarray(keys)[missing])]
                fill = Fill(self, keys, found)
                for start in range(0, len(found), step):
                    some = range(start, min(start + step, len(found)))
                    asked = [str(keys[position]) for position in found[some]]
                    rows, seconds = other.find(asked), list(other._said("seconds", asked))
                    has = rows != MISSING
                    fill.values[fill.rows[some][has]] = other.values()[rows[has]]
                    fill.keep(some, list(other.about(asked)), seconds)
                fill.commit()


class Fill:
    """Rows that are being computed. wanted: (M,) which of the keys. rows: (M,) where each is to go in `values`."""

    def __init__(self, table: RowTable, keys: Keys, wanted: np.ndarray):
        self.table, self.keys, self.wanted = table, keys, wanted
        with closing(_connect(table.folder)) as index, index:
            index.execute("DELETE FROM rows WHERE row >= ?", [len(table.values())])  # the file lost its end
            [(last,)] = index.execute("SELECT coalesce(max(row), -1) FROM rows")
        self.rows = last + 1 + np.arange(len(wanted))
        self.path = table.folder / ROWS
        if len(wanted):
            make_room(len(wanted) * table.row_bytes)
            _reserve(self.path, (last + 1) * table.row_bytes, len(wanted) * table.row_bytes)
        self.values = table.values(writable=True)
        self._lines: list[tuple[str, int, float, str]] = []  # that are not in the index yet
        self._since = self._committed = time.perf_counter()

    def keep(
        self,
        some: Sequence[int],
        about: Sequence[Mapping[str, Any]] | None = None,
        seconds: Sequence[float] | None = None,
    ) -> None:
        """The rows of `wanted[some]`, which have been written, are to count: from the next commit on, about a second
        later or when filling ends.

        about: what is known of each, a dict that JSON can hold; "error" says why it has no row. seconds: what each took
        (default: an equal part of the time since the last rows were kept).
        """
        now = time.perf_counter()
        each = (now - self._since) / max(1, len(some))
        self._since = now
        self._lines += [
            (
                str(self.keys[self.wanted[position]]),
                MISSING if about and about[i].get("error") else int(self.rows[position]),
                each if seconds is None else seconds[i],
                json.dumps(about[i] if about else {}),
            )
            for i, position in enumerate(some)
        ]
        if now - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """From now on what was kept counts, however this process ends."""
        if self._lines:
            with self.path.open("rb+") as file:  # written through the memory map, maybe by another process
                os.fsync(file.fileno())
            with closing(_connect(self.table.folder)) as index, index:
                index.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", self._lines)
        self._lines, self._committed = [], time.perf_counter()


def _reserve(path: Path, start: int, size: int) -> None:
    """Make a file end `size` bytes after `start`, with a place on the disk for each of them: writing to a memory map
    where the disk has none would end the process, without an exception."""
    with path.open("ab") as file:
        file.truncate(start + size)
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), start, size)
            except OSError as error:
                file.truncate(start)
                raise OSError(error.errno, error.strerror, str(path)) from None


def _connect(folder: Path) -> sqlite3.Connection:
    index = sqlite3.connect(folder / INDEX, timeout=60)
    index.execute(SCHEMA)
    return index


_LOOKED_AT: set[Path] = set()


def _drop_damaged(folder: Path) -> None:
    """Begin an index anew, and with it the rows that only it knows of, where it is no database any more."""
    try:
        with closing(_connect(folder)) as index:
            [(said,)] = index.execute("PRAGMA quick_check(1)")
    except sqlite3.OperationalError:  # locked, or not to be written: not its content
        raise
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        say(f"{folder / INDEX} is damaged ({said.splitlines()[-1]}): what it told of is computed anew")
        (folder / INDEX).unlink(missing_ok=True)


@contextmanager
def _patiently(lock: FileLock) -> Iterator[None]:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another headstart is computing the same here: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
