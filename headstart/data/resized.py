"""The images of a data set at another size: each made once, kept on disk, opened by every later run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL

from headstart import __version__
from headstart.data.dataset import Dataset, Rows
from headstart.data.decode import fitted
from headstart.runtime.cache import kept_or_not
from headstart.runtime.console import bar
from headstart.runtime.rows import RowTable

VERSION = 1  # raise it when the same image would become other pixels
CHUNK = 512  # images a task


@kept_or_not
def images_at(dataset: Dataset, rows: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images in squares of `side` pixels: an array (M, side, side, 3) uint8, and where in it those of `rows` are.

    Images that have this size are returned as they are; all others are made by `decode.fitted`, which does the same to
    squares by every fit, and memory-mapped.
    """
    images = dataset.images
    if images.shape[1:3] == (side, side):
        return (images.base, images.rows[rows]) if isinstance(images, Rows) else (images, rows)
    made_by = {"headstart": __version__, "version": VERSION, "pillow": PIL.__version__}
    table = RowTable("resized", dataset.collection, made_by, (side, side, 3), np.uint8)
    keys = dataset.digests[rows]
    if not table.known(keys).all():
        _fill(table, dataset, rows, keys, side)
    return table.values(), table.find(keys)


def _fill(table: RowTable, dataset: Dataset, rows: np.ndarray, keys: np.ndarray, side: int) -> None:
    with table.filling(keys) as fill:
        wanted = rows[fill.wanted]

        def resize(start: int) -> range:
            some = range(start, min(start + CHUNK, len(wanted)))
            fill.values[fill.rows[some]] = [
                fitted(pixels, side, dataset.fit) for pixels in dataset.images[wanted[some]]
            ]
            return some

        starts = range(0, len(wanted), CHUNK)
        with bar(f"bringing images to {side} px", len(wanted)) as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
            for some in pool.map(resize, starts):  # Pillow lets go of the interpreter
                fill.keep(some)
                advance(len(some))
