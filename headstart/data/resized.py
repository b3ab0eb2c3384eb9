"""The images of a split at another size: made once, kept on disk, opened by every later run."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from headstart.data.dataset import Split
from headstart.data.decode import fitted
from headstart.runtime.cache import cache_dir, make_room, temporary_folder
from headstart.runtime.console import bar

CACHE_BYTES = 50e9  # what resized images may take on disk together
IMAGES = "images.npy"
CHUNK = 512  # images a task


def images_at(split: Split, side: int) -> np.ndarray:
    """The images of a split in squares of `side` pixels: (N, side, side, 3) uint8.

    An array that has this size is returned as it is; everything else is made by `decode.fitted`, and memory-mapped.
    """
    if isinstance(split.images, np.ndarray) and split.images.shape[1:3] == (side, side):
        return split.images
    key = hashlib.sha256(f"{split.fingerprint} {side}".encode()).hexdigest()[:24]
    place = cache_dir() / "resized" / key
    if not place.exists():
        shape = (len(split), side, side, 3)
        make_room(place.parent, CACHE_BYTES, float(np.prod(shape, dtype=float)))
        with temporary_folder(place) as folder:
            _fill(folder / IMAGES, shape, split)
            try:
                folder.rename(place)
            except OSError:
                if not place.exists():  # else another process has just made the same
                    raise
    os.utime(place)  # in use: among the last to be cleared away
    return np.load(place / IMAGES, mmap_mode="c")  # copy on write: no one changes what is kept


def _fill(path: os.PathLike[str], shape: tuple[int, ...], split: Split) -> None:
    kept = np.lib.format.open_memmap(path, "w+", dtype=np.uint8, shape=shape)

    def resize(start: int) -> int:
        some = split.images[start : start + CHUNK]
        kept[start : start + CHUNK] = [fitted(pixels, shape[1]) for pixels in some]
        return len(some)

    with bar(f"bringing images to {shape[1]} px", len(split)) as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(resize, range(0, len(split), CHUNK)):  # Pillow lets go of the interpreter
            advance(done)
    kept.flush()
