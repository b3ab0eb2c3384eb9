"""Decoded images of a listing: each file read once, by all cores, into one memory-mapped file that later runs open."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from headstart.data.decode import DecodeError, decode, fitted, size_of
from headstart.data.listing import Listing
from headstart.data.traits import Traits, traits_of
from headstart.errors import HeadstartError
from headstart.runtime.cache import cache_dir, make_room
from headstart.runtime.console import bar, say
from headstart.runtime.text import shown

CACHE_BYTES = 100e9  # what the decoded images of all data sets may take on disk together
VERSION = 1  # of what is kept: raise it when the same file would give other pixels or traits
LARGEST, SMALLEST = 224, 32  # pixels a side that images are kept at, unless a larger size is asked for
SIZES_SAMPLED = 1000  # files whose headers are looked at to find the side
CHUNK = 64  # files a task
SMALL = 512  # files that are sooner read by this process than others are started
IMAGES, FILES = "images.bin", "files.parquet"


@dataclass(frozen=True)
class FileTraits:
    """What reading one file said. error: why it gave no image, else empty. notices: what was done to it, in words."""

    error: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    notices: str = ""


@dataclass(frozen=True)
class Store:
    """images: (N, S, S, 3) uint8, memory-mapped, a row a file of the listing (black where it gave no image).

    files: a row a file, with the columns of `FileTraits` and `Traits`.
    """

    images: np.ndarray
    files: pd.DataFrame


def open_store(listing: Listing, image_size: int | None = None) -> Store:
    """Decode every file of a listing, or open what an earlier run decoded.

    Images are kept whole, in a square: see `fitted`. Its side is the median long side of the images, at most
    `image_size` (default 224) and at least 32 pixels. What was decoded is found again by the names, sizes and times of
    all files: when one has changed, all are read anew. Two processes that want the same wait for each other; what a
    killed one left is begun again.
    """
    side = side_of(listing, image_size or LARGEST)
    place = cache_dir() / "decoded" / _key(listing, side)
    place.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(listing.paths), side, side, 3)
    with FileLock(place.with_name(f".{place.name}.lock")):
        if not place.exists():
            _build(listing, place, shape)
    os.utime(place)  # in use: among the last to be cleared away
    return Store(np.memmap(place / IMAGES, np.uint8, "r", shape=shape), pd.read_parquet(place / FILES))


def side_of(listing: Listing, largest: int) -> int:
    """The median long side of the images, in pixels, by the headers of an even choice of files; within the limits."""
    chosen = np.unique(np.linspace(0, len(listing.paths) - 1, SIZES_SAMPLED).astype(int))
    sizes = [size_of(listing.root / listing.paths[place]) for place in chosen]
    sides = [max(size) for size in sizes if size is not None]
    return int(np.clip(np.median(sides), SMALLEST, max(largest, SMALLEST))) if sides else SMALLEST


def _key(listing: Listing, side: int) -> str:
    digest = hashlib.sha256(f"{VERSION} {side} {listing.root.resolve()!r}".encode("utf-8", "surrogateescape"))
    for path in listing.paths:
        try:
            status = (listing.root / path).stat()
            said = (path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except (OSError, ValueError):
            said = (path, 0, 0, 0)
        digest.update(ascii(said).encode())
    return digest.hexdigest()[:24]


def _build(listing: Listing, place: Path, shape: tuple[int, ...]) -> None:
    """Fill `place`, whole or not at all; whoever calls it holds the lock."""
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_room(place.parent, CACHE_BYTES, float(np.prod(shape, dtype=float)))
    partial.mkdir()
    images = partial / IMAGES
    with images.open("wb") as file:
        file.truncate(int(np.prod(shape, dtype=np.int64)))
    starts = range(0, len(listing.paths), CHUNK)
    tasks = [(listing.root, listing.paths[start : start + CHUNK], start, images, shape) for start in starts]
    say(f"reading {len(listing.paths):,} files below {shown(listing.root)}")
    with bar("reading images", len(listing.paths)) as advance:
        found: dict[int, list[dict[str, Any]]] = {}
        for start, rows in spread(_read_chunk, tasks, alone=len(listing.paths) <= SMALL):
            found[start] = rows
            advance(len(rows))
    pd.DataFrame([row for start in starts for row in found[start]]).to_parquet(partial / FILES)
    for path in (images, partial / FILES):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    partial.rename(place)


def spread(function: Any, tasks: Sequence[tuple[Any, ...]], alone: bool) -> Iterator[Any]:
    """Yield function(*task) of each task as it is done, in any order: by a process a core, or `alone` by this one."""
    parallel = Parallel(n_jobs=1 if alone else cpu_count(), return_as="generator_unordered")
    try:
        yield from parallel(delayed(function)(*task) for task in tasks)
    except TerminatedWorkerError:
        raise HeadstartError(
            "a process that read images was killed, most likely because memory ran out: free some, and run again"
        ) from None


def _read_chunk(
    root: Path, paths: Sequence[str], start: int, images: Path, shape: tuple[int, ...]
) -> tuple[int, list[dict[str, Any]]]:
    """Read files into the rows from `start` on; returns `start` and what each said."""
    kept = np.memmap(images, np.uint8, "r+", shape=shape)
    said = []
    for row, path in enumerate(paths, start):
        pixels, about = read_file(root / path)
        if pixels is None:
            said.append(asdict(about) | asdict(Traits()))
        else:
            kept[row] = fitted(pixels, shape[1])
            said.append(asdict(about) | asdict(traits_of(pixels)))
    return start, said


def read_file(path: Path) -> tuple[np.ndarray | None, FileTraits]:
    """The pixels (H, W, 3) uint8 of an image file, or None, and what reading it said."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return None, FileTraits("not a file" if path.exists() else "no such file")
        decoded = decode(path.read_bytes())
    except DecodeError as error:
        return None, FileTraits(str(error))
    except (OSError, ValueError) as error:
        return None, FileTraits(f"cannot be opened: {getattr(error, 'strerror', None) or error}")
    height, width = decoded.pixels.shape[:2]
    return decoded.pixels, FileTraits("", decoded.format, width, height, ", ".join(decoded.notices))
