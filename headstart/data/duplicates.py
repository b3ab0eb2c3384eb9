"""Images that are there twice, exactly or nearly, within a split and across splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.data.dataset import Dataset, Images, Subset
from headstart.data.decode import inside
from headstart.data.store import spread
from headstart.data.traits import traits_of
from headstart.runtime.cache import kept_table
from headstart.runtime.console import bar

VERSION = 1  # raise it when the same images would give other pairs
NEAR_BITS = 10  # of 64 that two perceptual hashes may differ by: how candidates are found
NEAR_CORRELATION = 0.85  # of 16 x 16 colour thumbnails: what a candidate must reach to be called a near-duplicate
THUMBNAIL = 16  # pixels a side
CLOSEST = 3  # candidates that are looked at for each image
BLOCK = 8_000_000  # pairs of hashes compared at a time
CHUNK = 256  # images a task
SMALL = 5000  # images that are sooner looked at by this process than others are started
MOST_TOGETHER = 10  # images of a chain of near-duplicates that is believed
COLUMNS = ("split", "row", "other_split", "other_row", "exact")


def find_duplicates(dataset: Dataset) -> pd.DataFrame:
    """Find pairs of images that are the same, or nearly: a row a pair, with COLUMNS.

    `exact`: equal in every pixel, as decoded. An image is paired with the first equal one and with at most CLOSEST near
    ones of each split; of two in one split the later is paired with the earlier. What is near was found by looking at
    CIFAR-10's pairs: docs/decisions/duplicates.md. The result is kept in the cache.
    """
    said = [VERSION, dataset.image_shape, *(part.digests.tolist() for part in dataset.parts.values())]
    key = hashlib.sha256(repr(said).encode()).hexdigest()[:24]
    return kept_table(dataset.collection, "duplicates", key, lambda: _find(dataset))


def rows_of(dataset: Dataset, pairs: pd.DataFrame) -> np.ndarray:
    """The two rows of the data set of each pair that `find_duplicates` gave of it: (P, 2) int64."""
    parts = dataset.splits[0].parts
    columns = (("split", "row"), ("other_split", "other_row"))
    found = [[parts[part][row] for part, row in pairs[list(each)].itertuples(index=False)] for each in columns]
    return np.array(found, dtype=np.int64).reshape(2, -1).T


def together(dataset: Dataset, pairs: np.ndarray) -> np.ndarray:
    """(N,) int64, equal for images that count as one: those of a group of the data set, and near-duplicates.

    pairs: (P, 2) rows that are duplicates. A chain of near-duplicates is believed where all of it has one label, and it
    has at most MOST_TOGETHER images: long and mixed ones are pictures that are merely alike (docs/decisions/folds.md).
    """
    groups = np.arange(len(dataset)) if dataset.groups is None else dataset.groups
    groups = np.unique(groups, return_inverse=True)[1]
    ends = groups[pairs]
    count = int(groups.max()) + 1
    _, chain = connected_components(coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count)))
    chains = chain[groups]  # (N,)
    sizes = np.bincount(chains)
    lowest, highest = np.full(len(sizes), len(dataset.class_names)), np.full(len(sizes), -1)
    np.minimum.at(lowest, chains, dataset.labels)
    np.maximum.at(highest, chains, dataset.labels)
    believed = (sizes <= MOST_TOGETHER) & (lowest == highest)
    return np.unique(np.where(believed[chains], chains, len(sizes) + groups), return_inverse=True)[1]


def traits_of_images(dataset: Dataset) -> pd.DataFrame:
    """The columns of `Traits`, a row an image: from when it was read, or computed now."""
    if dataset.files is not None:
        return dataset.files
    key = hashlib.sha256(repr([VERSION, dataset.digests.tolist()]).encode()).hexdigest()[:24]
    return kept_table(dataset.collection, "traits", key, lambda: _traits_of_arrays(dataset.images))


def _traits_of_arrays(images: Images) -> pd.DataFrame:
    chunks = [(images[start : start + CHUNK], start) for start in range(0, len(images), CHUNK)]
    found: dict[int, list[dict[str, object]]] = {}
    with bar("hashing images", len(images)) as advance:
        for start, rows in spread(_traits_of_chunk, chunks, alone=len(images) <= SMALL):
            found[start] = rows
            advance(len(rows))
    return pd.DataFrame([row for _, start in chunks for row in found[start]])


def _traits_of_chunk(images: np.ndarray, start: int) -> tuple[int, list[dict[str, object]]]:
    return start, [vars(traits_of(pixels)) for pixels in images]


def _find(dataset: Dataset) -> pd.DataFrame:
    names, parts, all_traits = list(dataset.parts), dataset.parts, traits_of_images(dataset)
    traits = {name: all_traits.iloc[part.rows] for name, part in parts.items()}
    total = sum(len(traits[a]) * len(traits[b]) for i, a in enumerate(names) for b in names[: i + 1])
    pairs: list[tuple[str, int, str, int, bool]] = []
    with bar("looking for duplicates", total) as advance:
        for place, a in enumerate(names):
            for b in names[: place + 1]:  # test with train and val, val with train, and each with itself
                pairs += [(a, row, b, other, True) for row, other in _equal(traits[a], traits[b], a == b)]
                for rows, others, compared in _candidates(traits[a], traits[b], a == b):
                    near = _look_alike(parts[a], rows, parts[b], others)
                    pairs += [(a, int(row), b, int(o), False) for row, o in zip(rows[near], others[near], strict=True)]
                    advance(compared)
    return pd.DataFrame(pairs, columns=list(COLUMNS))


def _equal(a: pd.DataFrame, b: pd.DataFrame, same: bool) -> Iterator[tuple[int, int]]:
    """(row of a, first row of b) with the same pixels; within one split, each later one with the first."""
    first: dict[str, int] = {}
    for row, digest in enumerate(b["sha256"]):
        first.setdefault(digest, row)
    for row, digest in enumerate(a["sha256"]):
        if digest in first and not (same and first[digest] == row):
            yield row, first[digest]


def _candidates(a: pd.DataFrame, b: pd.DataFrame, same: bool) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Rows of a and of b whose hashes are close, those with equal pixels left out, and how many pairs were compared."""
    hashes, others = (each["phash"].to_numpy(dtype=np.int64).view(np.uint64) for each in (a, b))
    pixels, other_pixels = a["sha256"].to_numpy(), b["sha256"].to_numpy()
    step = max(1, BLOCK // max(1, len(others)))
    for start in range(0, len(hashes), step):
        block = hashes[start : start + step]
        distances = np.bitwise_count(block[:, None] ^ others)  # (rows, len(others)) uint8
        rows, columns = np.nonzero(distances <= NEAR_BITS)
        closeness = distances[rows, columns]
        rows += start
        different = pixels[rows] != other_pixels[columns]
        if same:
            different &= columns < rows
        rows, columns, closeness = rows[different], columns[different], closeness[different]
        order = np.lexsort((columns, closeness, rows))
        rows, columns = rows[order], columns[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)  # among the candidates of its row
        yield rows[rank < CLOSEST], columns[rank < CLOSEST], len(block) * len(others)


def _look_alike(a: Subset, rows: np.ndarray, b: Subset, others: np.ndarray) -> np.ndarray:
    """Whether the thumbnails of each pair correlate: (P,) bool. Flat images have nothing that could."""
    near = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        first, second = _thumbnails(a, rows[chunk]), _thumbnails(b, others[chunk])
        near[chunk] = np.einsum("ij,ij->i", first, second) >= NEAR_CORRELATION
    return near


def _thumbnails(part: Subset, rows: np.ndarray) -> np.ndarray:
    """Images, without the bars beside them, as vectors of unit length whose channels have zero mean: (P, 768) float32;
    zeros where an image is flat."""
    images = part.images[rows]
    side = images.shape[1]
    if part.files is None:
        pictures = list(images)
    else:
        shapes = part.files[["height", "width"]].to_numpy()[rows].tolist()
        pictures = [pixels[inside(h, w, side, part.dataset.fit)] for pixels, (h, w) in zip(images, shapes, strict=True)]
    small = [Image.fromarray(each).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX) for each in pictures]
    vectors = np.array([np.asarray(each) for each in small], dtype=np.float32).reshape(len(rows), -1, 3)
    vectors = (vectors - vectors.mean(axis=1, keepdims=True)).reshape(len(rows), -1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 1, vectors / np.maximum(lengths, 1), 0)
