"""Decoded images of a listing: the content of each file decoded once, by all cores, into one memory-mapped table."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pi_heif
import PIL
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from headstart import __version__
from headstart.data.dataset import Rows, digest_of
from headstart.data.decode import DecodeError, PassingError, fitted, own_side, read_image, size_of
from headstart.data.listing import Listing
from headstart.data.ranges import Whites, whites_of
from headstart.data.traits import Traits, traits_of
from headstart.errors import HeadstartError, MachineError
from headstart.runtime.cache import cache_dir, kept_or_not
from headstart.runtime.console import bar, say
from headstart.runtime.rows import MISSING, RowTable
from headstart.runtime.text import shown

VERSION = 3  # of what is kept: raise it when the same file would give other pixels or traits
LARGEST, SMALLEST = 224, 32  # pixels a side that images are kept at, unless a larger size is asked for
STEP = 32  # pixels that the side is a multiple of, where images differ in size
SIZES_SAMPLED = 1000  # files whose headers are looked at to find the side
CHUNK = 64  # files a task
LOOKUP = "SELECT path, status, sha256 FROM (SELECT value FROM json_each(?)) CROSS JOIN seen ON path = value"
HEIF = pi_heif.__version__
SMALL = 512  # files that are sooner read by this process than others are started


@dataclass(frozen=True)
class FileTraits:
    """What reading one file said. error: why it gave no image, else empty. notices: what was done to it, in words.
    square: SHA-256 of its pixels as they are kept, in a square; equal for images that no network could tell apart.
    kind, white: see `decode.Decoded`."""

    error: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    notices: str = ""
    square: str = ""
    kind: str = ""
    white: float = 0


@dataclass(frozen=True)
class Reading:
    """How files are read: into squares of `side` pixels, by `fit`, with these `whites`; empty: each by its own."""

    side: int
    fit: str
    whites: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Store:
    """images: (N, S, S, 3) uint8, an image a file of the listing; one that has an error is not to be read.

    files: a row a file, with the columns of `FileTraits` and `Traits`. decoded: how many files were decoded just now.
    whites: what is white in all of them, where their type does not say.
    """

    images: Rows
    files: pd.DataFrame
    decoded: int
    whites: Whites


@kept_or_not
def open_store(listing: Listing, collection: str, fit: str, image_size: int | None = None) -> Store:
    """Decode every file whose content was not decoded before, and open what earlier runs decoded.

    Images are kept in squares: see `fitted`, which says what `fit` may be, and `side_of`. A file is known by its
    content, so that one that was only touched, renamed or copied is not decoded again; content is hashed anew where
    name, size or time have changed. Where files have a range of their own (`ranges`), each is read by its own first,
    and all once more by the set's, unless that is the same.
    Two processes that want the same wait for each other, and what a killed one had finished is kept.
    Raises HeadstartError, which names it, for a file that was replaced or removed while it was read.
    """
    side = side_of(listing, fit, image_size or LARGEST)
    contents = _contents(listing)
    store = _open(listing, contents, collection, Reading(side, fit))
    whites = whites_of(store.files)
    deep = store.files[store.files["kind"] != ""]
    if (deep["white"] != deep["kind"].map(whites)).any():
        again = _open(listing, contents, collection, Reading(side, fit, tuple(sorted(whites.items()))))
        store = replace(again, decoded=store.decoded + again.decoded, whites=whites)
    for kind, white in whites.items():
        count = int((deep["kind"] == kind).sum())
        images = f"{count:,} {'image has' if count == 1 else 'images have'}"
        say(f"{images} {kind} beyond 8 bits: 0 is taken for black, {white:,g} for white")
    return store


def _open(listing: Listing, contents: tuple[list[str], list[str]], collection: str, reading: Reading) -> Store:
    """The store of a listing whose files are read in one way. contents: see `_contents`."""
    made_by = {"headstart": __version__, "version": VERSION, "pillow": PIL.__version__, "heif": HEIF}
    made_by |= {"fit": reading.fit, "whites": dict(reading.whites)}
    table = RowTable("images", collection, made_by, (reading.side, reading.side, 3), np.uint8)
    errors, keys = contents
    readable = [place for place, error in enumerate(errors) if not error]
    wanted = [keys[place] for place in readable]
    decoded, passing = 0, dict[str, dict[str, Any]]()
    if not table.known(wanted).all():
        decoded, passing = _decode(table, listing, readable, wanted, reading)
    rows = np.full(len(errors), MISSING, np.int64)
    rows[readable] = table.find(wanted)
    abouts = (about or passing[key] for key, about in zip(wanted, table.about(wanted), strict=True))
    columns = [*asdict(FileTraits()), *asdict(Traits())]
    of_each = (asdict(FileTraits(error)) | asdict(Traits()) if error else next(abouts) for error in errors)
    lines = (tuple(map(each.get, columns)) for each in of_each)  # a dictionary an image is half a GB a million
    found = pd.DataFrame.from_records(lines, columns=columns)
    return Store(Rows(table.values(), rows), found, decoded, whites_of(found))


def side_of(listing: Listing, fit: str, largest: int) -> int:
    """Pixels a side to keep images at, by the headers of an even choice of files: `common_side`."""
    chosen = np.unique(np.linspace(0, len(listing.paths) - 1, SIZES_SAMPLED).astype(int))
    sizes = [size_of(listing.root / listing.paths[place]) for place in chosen]
    return common_side([size for size in sizes if size is not None], fit, largest)


def common_side(sizes: Sequence[tuple[int, int]], fit: str, largest: int) -> int:
    """Pixels a side to keep images of these sizes at: their own side (`own_side`) where half of them share one, else
    the median rounded to STEP, so that some more photos do not change it; within the limits."""
    sides = [own_side(*size, fit) for size in sizes]
    if not sides:
        return SMALLEST
    [(side, times)] = Counter(sides).most_common(1)
    if 2 * times < len(sides):
        side = STEP * max(1, round(float(np.median(sides)) / STEP))
    return int(np.clip(side, SMALLEST, max(largest, SMALLEST)))


def _decode(
    table: RowTable, listing: Listing, places: Sequence[int], keys: Sequence[str], reading: Reading
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Decode the files at these places of a listing whose keys the table lacks; returns how many, and what is said of
    those that may be read another time: they are not kept."""
    passing: dict[str, dict[str, Any]] = {}
    with table.filling(keys) as fill:
        if not len(fill.wanted):  # another process has just decoded them
            return 0, passing
        say(f"reading {len(fill.wanted):,} files below {shown(listing.root)}")
        paths = [listing.root / listing.paths[places[each]] for each in fill.wanted]
        shape = fill.values.shape
        tasks = [
            (
                paths[start : start + CHUNK],
                [keys[each] for each in fill.wanted[start : start + CHUNK]],
                start,
                fill.path,
                fill.rows[start : start + CHUNK],
                shape,
                reading,
                os.getpid(),
            )
            for start in _starts(paths)
        ]
        with bar("reading images", len(paths)) as advance:
            for start, abouts in spread(_read_chunk, tasks, alone=len(paths) <= SMALL):
                lasting = {}
                for place, about in enumerate(abouts, start):
                    if about.get("passing"):
                        passing[keys[fill.wanted[place]]] = about
                    else:
                        lasting[place] = about
                fill.keep([*lasting], [*lasting.values()])
                advance(len(abouts))
        return len(paths), passing


def _read_chunk(
    paths: Sequence[Path],
    keys: Sequence[str],
    start: int,
    file: Path,
    rows: np.ndarray,
    shape: tuple[int, ...],
    reading: Reading,
    filler: int,
) -> tuple[int, list[dict[str, Any]]]:
    """Decode files whose contents have these keys into rows of the table's file, for the process `filler`; returns
    `start` and what each said."""
    kept = np.memmap(file, np.uint8, "r+", shape=shape)
    said = []
    for path, key, row in zip(paths, keys, rows, strict=True):
        square, about = read_square(path, reading)
        if not _is(path, key):  # what was decoded may be neither the one nor the other
            raise HeadstartError(f"{shown(path)} was replaced or removed while it was read: run again")
        if filler not in (os.getpid(), os.getppid()):  # it was killed: others may be filling these rows by now
            raise HeadstartError("nobody waits for these images any more")
        kept[row] = square
        said.append(about)
    return start, said


def read_square(path: Path, reading: Reading) -> tuple[np.ndarray, dict[str, Any]]:
    """The image of a file in a square (S, S, 3) uint8, black where it gives none, and its `FileTraits` and
    `Traits`."""
    side = reading.side
    try:
        decoded = read_image(path, dict(reading.whites) or None)
    except DecodeError as error:
        unread = asdict(FileTraits(str(error))) | asdict(Traits()) | {"passing": isinstance(error, PassingError)}
        return np.zeros((side, side, 3), np.uint8), unread
    square = fitted(decoded.image, side, reading.fit)
    notices = ", ".join(decoded.notices)
    about = FileTraits("", decoded.format, *decoded.image.size, notices, digest_of(square), decoded.kind, decoded.white)
    return square, asdict(about) | asdict(traits_of(decoded.pixels))


def spread(function: Any, tasks: Sequence[tuple[Any, ...]], alone: bool) -> Iterator[Any]:
    """Yield function(*task) of each task as it is done, in any order: by a process a core, or `alone` by this one."""
    parallel = Parallel(n_jobs=1 if alone else cpu_count(), return_as="generator_unordered")
    try:
        yield from parallel(delayed(function)(*task) for task in tasks)
    except TerminatedWorkerError:
        raise MachineError(
            "a process that read images was killed, most likely because memory ran out: free some, and run again"
        ) from None


def _contents(listing: Listing) -> tuple[list[str], list[str]]:
    """Why each file can hold no image, as far as that shows without decoding it, and the SHA-256 of those that may.

    A file is hashed again only where its size or its times have changed since it was last.
    """
    index = cache_dir() / "files" / "seen.sqlite"
    index.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _looked_up(listing, index)
    except sqlite3.OperationalError:  # locked, or not to be written: not its content
        raise
    except sqlite3.DatabaseError as error:
        say(f"{index} is damaged ({error}): all files are looked at anew")
        index.unlink(missing_ok=True)
        return _looked_up(listing, index)


def _looked_up(listing: Listing, index: Path) -> tuple[list[str], list[str]]:
    """See `_contents`. index: the database that says what was found of each file last."""
    with closing(sqlite3.connect(index, timeout=60)) as seen, seen:
        seen.execute("CREATE TABLE IF NOT EXISTS seen (path TEXT PRIMARY KEY, status TEXT, sha256 TEXT) WITHOUT ROWID")
        root = listing.root.resolve()
        names = [ascii(os.path.normpath(root / path)) for path in listing.paths]  # UTF-8 or not, as a database takes it
        asked = json.dumps(sorted(names))
        known = {name: (status, sha256) for name, status, sha256 in seen.execute(LOOKUP, [asked])}
        stats = [_status(root / path) for path in listing.paths]
        new = [i for i, name in enumerate(names) if not stats[i] or known.get(name, ("",))[0] != stats[i]]
        found: dict[int, tuple[str, str]] = {}
        tasks = [([root / listing.paths[i] for i in new[at : at + CHUNK]], new[at : at + CHUNK]) for at in _starts(new)]
        with bar("looking at files", len(new)) as advance:
            for places, said in spread(_hash_chunk, tasks, alone=len(new) <= SMALL):
                found |= dict(zip(places, said, strict=True))
                advance(len(places))
        lines = [(names[i], stats[i], sha256) for i, (error, sha256) in found.items() if not error]
        seen.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", lines)
    said = [found[i] if i in found else ("", known[name][1]) for i, name in enumerate(names)]
    return [error for error, _ in said], [sha256 for _, sha256 in said]


def _starts(values: Sequence[Any]) -> range:
    return range(0, len(values), CHUNK)


def _status(path: Path) -> str:
    """What changes when a file does: size, times and inode; empty where it cannot be asked."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _hash_chunk(paths: Sequence[Path], places: list[int]) -> tuple[list[int], list[tuple[str, str]]]:
    return places, [_hash(path) for path in paths]


def _hash(path: Path) -> tuple[str, str]:
    """Why a file holds no image, as its first bytes say, or the SHA-256 of all of it."""
    if size_of(path) is None:
        try:
            read_image(path)
        except DecodeError as error:
            return str(error), ""
    try:
        return "", _sha256(path)
    except (OSError, ValueError) as error:
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}", ""


def _is(path: Path, key: str) -> bool:
    """Whether a file still has the content of this key."""
    with suppress(OSError, ValueError):
        return _sha256(path) == key
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
