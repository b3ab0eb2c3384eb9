"""Which images may show the same picture: nearest neighbours of descriptors, found through cells, never all pairs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from headstart.runtime.console import bar

SIDE = 32  # pixels a side that a descriptor is made of
CELLS, ORIENTATIONS = 8, 8  # a histogram of 8 directions of the gradient in each of 8 x 8 cells
DIMENSIONS = 128  # of a descriptor, of the 512 of its histograms
SAMPLE = 20_000  # images that the axes are found from, and the cells
CLOSEST = 3  # neighbours of an image, in each view of it, that are looked at
NEAR = 0.4  # the cosine that a neighbour needs
FEW = 20_000  # images that are compared with each other all; of more, an image with those of its cells
PROBES = 12  # cells that are searched for a view
CHUNK = 512  # images that are described at a time
BLOCK = 8192  # images that are searched for at a time
ZOOM = 0.88  # of the sides: a view of the centre finds what was cropped

Greys = Callable[[np.ndarray], np.ndarray]
"""From places (n,) to the pictures there, grey: (n, S, S) uint8, S at least SIDE."""


def candidates(greys: Greys, count: int) -> np.ndarray:
    """Pairs of images whose descriptors are close: (P, 4) int64 of place, other place, and whether the first is
    mirrored, and cut to its centre, to be like the other. Each pair is there once, by its closest views.

    A descriptor is the histogram of oriented gradients (Dalal and Triggs 2005), its fourth root, whitened by PCA, which
    takes away what all pictures of the collection share. Images are searched for as they are, mirrored, and, where they
    have the pixels for it, by their centre and by that mirrored. Beyond FEW images they lie in cells (k-means; an
    inverted file, Jegou et al. 2011), of which a view searches PROBES: what an image costs grows with the square root
    of their number.
    """
    places = np.arange(count)
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:  # threads of BLAS would wait for each other
        sample = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int))
        axes = _axes(np.concatenate(list(pool.map(lambda some: _histograms(greys(some)), _cut(sample, CHUNK)))))

        def described(some: np.ndarray, share: float = 1.0) -> np.ndarray:
            return (_histograms(greys(some), share) - axes.mean) @ axes.whitening

        vectors = np.empty((count, axes.whitening.shape[1]), np.float32)
        with bar("describing images", count) as advance:
            for some, part in zip(_cut(places, CHUNK), pool.map(described, _cut(places, CHUNK)), strict=True):
                vectors[some] = part
                advance(len(part))
        index = _index(vectors, sample)
        zooms = greys(places[:1]).shape[1] > SIDE

        def searched(block: np.ndarray) -> np.ndarray:
            views = [vectors[block]]
            if zooms:
                views.append(np.concatenate([described(some, ZOOM) for some in _cut(block, CHUNK)]))
            views = [view for each in views for view in (each, each @ axes.mirror)]
            return np.concatenate([_hits(block, view, number, index) for number, view in enumerate(views)])

        with bar("looking for duplicates", count) as advance:
            found = []
            for block, hits in zip(_cut(places, BLOCK), pool.map(searched, _cut(places, BLOCK)), strict=True):
                found.append(hits)
                advance(len(block))
    return _once(np.concatenate(found))


def _cut(places: np.ndarray, size: int) -> list[np.ndarray]:
    return [places[start : start + size] for start in range(0, len(places), size)]


def _histograms(greys: np.ndarray, share: float = 1.0) -> np.ndarray:
    """(n, 512) float32: the fourth root of the gradients' lengths, added up by cell and direction, of the middle
    `share` of pictures (n, S, S)."""
    shrink = _shrink(greys.shape[1], share)
    padded = np.pad(shrink @ greys.astype(np.float32) @ shrink.T, ((0, 0), (1, 1), (1, 1)), mode="edge")
    dx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    dy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    length = np.hypot(dx, dy)
    turn = np.arctan2(dy, dx) * np.float32(ORIENTATIONS / (2 * np.pi))
    lower = np.floor(turn)
    part = (turn - lower) * length  # each length is divided between the two directions beside it
    lower = lower.astype(np.int32) % ORIENTATIONS
    cell = np.arange(SIDE) * CELLS // SIDE
    size = CELLS * CELLS * ORIENTATIONS
    place = (cell[:, None] * CELLS + cell) * ORIENTATIONS + (np.arange(len(greys)) * size)[:, None, None]
    sums = np.bincount((place + lower).ravel(), (length - part).ravel(), len(greys) * size)
    sums += np.bincount((place + (lower + 1) % ORIENTATIONS).ravel(), part.ravel(), len(greys) * size)
    return np.sqrt(np.sqrt(sums.astype(np.float32))).reshape(len(greys), size)


@cache
def _shrink(side: int, share: float) -> np.ndarray:
    """(SIDE, side): the mean over each of SIDE equal parts of the middle `share` of so many pixels."""
    edges = side * (0.5 + share * (np.arange(SIDE + 1) / SIDE - 0.5))
    pixels = np.arange(side)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(covered, 0) / np.diff(edges)[:, None]).astype(np.float32)


@dataclass(frozen=True)
class _Axes:
    """How histograms are whitened. mean: (512,). whitening: (512, D). mirror: (D, D), from a whitened picture to its
    mirror image."""

    mean: np.ndarray
    whitening: np.ndarray
    mirror: np.ndarray


def _axes(histograms: np.ndarray) -> _Axes:
    """The axes of pictures and their mirror images: what is mirrored then differs by signs alone."""
    places = np.arange(CELLS * CELLS * ORIENTATIONS).reshape(CELLS, CELLS, ORIENTATIONS)
    mirror = places[:, ::-1][:, :, (ORIENTATIONS // 2 - np.arange(ORIENTATIONS)) % ORIENTATIONS].ravel()
    both = np.concatenate([histograms, histograms[:, mirror]])
    mean = both.mean(axis=0)
    both -= mean
    values, vectors = np.linalg.eigh((both.T @ both).astype(np.float64) / len(both))
    kept = slice(-min(DIMENSIONS, len(histograms)), None)
    vectors, lengths = vectors[:, kept], np.sqrt(np.maximum(values[kept], 1e-6))
    turned = lengths[:, None] * (vectors.T @ vectors[mirror]) / lengths
    return _Axes(mean, (vectors / lengths).astype(np.float32), turned.astype(np.float32))


@dataclass(frozen=True)
class _Index:
    """Descriptors of unit length, cell by cell. means: (K, D) of the cells. vectors: (N, D). places: (N,) of their
    images. ends: (K + 1,) where cells begin and end."""

    means: np.ndarray
    vectors: np.ndarray
    places: np.ndarray
    ends: np.ndarray


def _index(vectors: np.ndarray, sample: np.ndarray) -> _Index:
    cells = 1 if len(vectors) <= FEW else round(2 * np.sqrt(len(vectors)))
    means, cell_of = np.zeros((1, vectors.shape[1]), np.float32), np.zeros(len(vectors), np.int64)
    if cells > 1:
        kmeans = MiniBatchKMeans(cells, batch_size=4096, n_init=1, max_iter=5, init="random", random_state=0)
        means = _unit(kmeans.fit(_unit(vectors[sample])).cluster_centers_)
        cell_of = np.concatenate([(some @ means.T).argmax(axis=1) for some in _cut(vectors, CHUNK)])
    places = np.argsort(cell_of, kind="stable")
    ends = np.searchsorted(cell_of[places], np.arange(cells + 1))
    ordered = np.empty_like(vectors)
    for start in range(0, len(places), BLOCK):  # of a million, half a gigabyte, no further copy is made
        ordered[start : start + BLOCK] = _unit(vectors[places[start : start + BLOCK]])
    return _Index(means, ordered, places, ends)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _hits(places: np.ndarray, views: np.ndarray, number: int, index: _Index) -> np.ndarray:
    """The CLOSEST of the index to each view of the images at these places, themselves left out: (n, 4) float64 of
    place, other place, the number of the view, and cosine."""
    views = _unit(views)
    found = list(_cell_hits(views, index))
    asked, others, cosines = (np.concatenate(each) for each in zip(*found, strict=True))
    different = places[asked] != others
    asked, others, cosines = asked[different], others[different], cosines[different]
    order = np.lexsort((others, -cosines, asked))
    asked, others, cosines = asked[order], others[order], cosines[order]
    kept = np.arange(len(asked)) - np.searchsorted(asked, asked) < CLOSEST
    hits = places[asked[kept]], others[kept], np.full(kept.sum(), number), cosines[kept]
    return np.column_stack(hits).astype(np.float64)


def _cell_hits(views: np.ndarray, index: _Index) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """From each cell: which views have which images nearer than NEAR, and their cosines."""
    probes = min(PROBES, len(index.means))
    probed = np.argpartition(-(views @ index.means.T), probes - 1, axis=1)[:, :probes].ravel()
    order = np.argsort(probed, kind="stable")
    bounds = np.searchsorted(probed[order], np.arange(len(index.means) + 1))
    for cell in range(len(index.means)):
        members = slice(index.ends[cell], index.ends[cell + 1])
        for asking in _cut(order[bounds[cell] : bounds[cell + 1]] // probes, CHUNK):
            cosines = views[asking] @ index.vectors[members].T
            is_near = cosines >= NEAR
            if is_near.sum() > (CLOSEST + 1) * len(asking):  # in a folder of like pictures nearly all are
                is_near &= cosines >= np.partition(cosines, -CLOSEST - 1, axis=1)[:, -CLOSEST - 1 : -CLOSEST]
            asked, member = np.nonzero(is_near)
            yield asking[asked], index.places[members][member], cosines[asked, member]


def _once(hits: np.ndarray) -> np.ndarray:
    """Each pair once, by the views of it that are closest."""
    place, other, view, cosine = hits.T
    low, high = np.minimum(place, other), np.maximum(place, other)
    order = np.lexsort((view, -cosine, high, low))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    place, other, view, _ = hits[order[is_first]].T
    return np.column_stack([place, other, view % 2, view // 2]).astype(np.int64)
