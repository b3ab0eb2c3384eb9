"""Images that are there twice, exactly or nearly, within a split and across splits."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from headstart.data.alignment import bend, laid_on, normalised
from headstart.data.candidates import SIDE, ZOOM, candidates
from headstart.data.dataset import PARTS, Dataset, Subset
from headstart.data.decode import CROP, inside
from headstart.runtime.cache import kept_table
from headstart.runtime.console import bar

VERSION = 3  # raise it when the same images would give other pairs
BOUNDS, STEP = (0.85, 0.9, 0.95), 0.05  # similarity of near-duplicates: the first that holds
FALSE = 0.05  # of the near-duplicates that may be merely alike, estimated by those of different labels
FEW = 10  # pairs that do not yet show how similar pictures are that are merely alike
UNSURE = (0.5, 0.7)  # pairs of such a similarity are kept as well: they are alike, and hardly ever duplicates
BENDING = 0.4  # similarity that a turn by a radian costs, or a side e times as long
COMMON = 0.2  # the correlation of most pictures with each other above which their mean is what they share
COMMON_SAMPLE = 600  # pictures that tell
CHUNK = 256  # pairs that are compared at a time
MOST_TOGETHER = 10  # images of a chain of near-duplicates that is believed, however large a share of its class it is
MOST_OF_CLASS = 0.2  # and this share of a larger class
COLUMNS = ("split", "row", "other_split", "other_row", "exact")


def find_duplicates(dataset: Dataset) -> pd.DataFrame:
    """Find pairs of images that are the same, or nearly, by the first split: a row a pair, with COLUMNS.

    `exact`: equal in every pixel, as decoded; an image is paired with the first equal one of each split. Of two in one
    split the later is paired with the earlier, of two splits that of test or val with the other. What is near:
    `near_duplicates`; each copy of an image is near to the first copy in each split of what that is near to.
    """
    content = dataset.contents
    part, place = np.full(len(dataset), -1), np.zeros(len(dataset), dtype=np.int64)
    for number, rows in enumerate(dataset.splits[0].parts.values()):
        part[rows], place[rows] = number, np.arange(len(rows))
    images = pd.DataFrame({"part": part, "row": place, "content": np.unique(content, return_inverse=True)[1]})
    contents = images["content"].to_numpy()
    images = images[part >= 0].sort_values(["part", "row"])
    equal = images.assign(other_content=images["content"], exact=True)
    ends = contents[near_duplicates(dataset).rows]
    near = pd.DataFrame(np.concatenate([ends, ends[:, ::-1]]), columns=["content", "other_content"]).assign(exact=False)
    pairs = pd.concat([equal, images.merge(near, on="content")])
    pairs = pairs.merge(images.drop_duplicates(["part", "content"]).add_prefix("other_"), on="other_content")
    later = (pairs["part"] > pairs["other_part"]) | (
        (pairs["part"] == pairs["other_part"]) & (pairs["row"] > pairs["other_row"])
    )
    pairs = pairs[later].drop_duplicates(["part", "row", "other_part", "other_row"])
    pairs = pairs.sort_values(
        ["part", "other_part", "exact", "row", "other_row"], ascending=[True, True, False, True, True]
    )
    names = np.array(PARTS, dtype=object)
    split, other_split = names[pairs["part"].to_numpy()], names[pairs["other_part"].to_numpy()]
    return pairs.assign(split=split, other_split=other_split)[list(COLUMNS)].reset_index(drop=True)


@dataclass(frozen=True)
class NearDuplicates:
    """Images that show the same picture, though not in equal pixels.

    rows: (P, 2) int64 of the data set, of copies the first. bound: the similarity that all pairs have; infinite where
    pictures of this data set are too alike for any to be told. differ: how many pairs have different labels. false: how
    many are merely alike, as far as labels tell.
    """

    rows: np.ndarray
    bound: float
    differ: int
    false: float


def near_duplicates(dataset: Dataset) -> NearDuplicates:
    """The pairs of `alike` that are near-duplicates: from the least of BOUNDS on that this data set bears.

    What is merely alike has pairs of every similarity, fewer the higher. So there must be a gap: some STEP between
    UNSURE[1] and the bound that has no more pairs than the STEP above the bound. And where labels differ, pairs are
    false: as many are as do, over how often labels of UNSURE pairs do. More than the share FALSE of them, by two
    standard errors, are believed at the highest bound alone: then it is labels that are wrong.
    """
    pairs = alike(dataset)
    rows, similarity = pairs[["row", "other_row"]].to_numpy(), pairs["similarity"].to_numpy()
    differ = dataset.labels[rows[:, 0]] != dataset.labels[rows[:, 1]]
    unsure = (similarity >= UNSURE[0]) & (similarity < UNSURE[1])
    often = (differ[unsure].sum() + 1) / (unsure.sum() + 2)
    for bound in BOUNDS:
        is_near = similarity >= bound
        starts = [bound, *np.arange(UNSURE[1], bound - STEP / 2, STEP)]
        above, *below = (((similarity >= start) & (similarity < start + STEP)).sum() for start in starts)
        count = int(differ[is_near].sum())
        surely_false = (count - 2 * np.sqrt(count)) / often
        if min(below) <= max(FEW, above) and (surely_false <= FALSE * is_near.sum() or bound == BOUNDS[-1]):
            return NearDuplicates(rows[is_near], bound, count, float(count / often))
    return NearDuplicates(rows[:0], float("inf"), 0, 0.0)


def alike(dataset: Dataset) -> pd.DataFrame:
    """Pairs of images that a split uses and that are alike: `row` and `other_row` of the data set, and their
    `similarity`, UNSURE[0] at least. Kept in the cache.

    It is the correlation of the two once they are aligned (`laid_on`), less BENDING times what that took of turning and
    stretching (`bend`). Where most pictures correlate with most others as they are, being of one layout, their mean is
    subtracted first.
    """
    used = np.unique(np.concatenate([rows for split in dataset.splits for rows in split.parts.values()]))
    key = hashlib.sha256(repr([VERSION, dataset.digests[used].tolist()]).encode()).hexdigest()[:24]
    pairs = kept_table(dataset.collection, "alike", key, lambda: _alike(dataset, used))
    return pairs.assign(row=used[pairs["row"]], other_row=used[pairs["other_row"]])


def rows_of(dataset: Dataset, pairs: pd.DataFrame) -> np.ndarray:
    """The two rows of the data set of each pair that `find_duplicates` gave of it: (P, 2) int64."""
    parts = dataset.splits[0].parts
    columns = (("split", "row"), ("other_split", "other_row"))
    found = [[parts[part][row] for part, row in pairs[list(each)].itertuples(index=False)] for each in columns]
    return np.array(found, dtype=np.int64).reshape(2, -1).T


def together(dataset: Dataset, pairs: np.ndarray) -> np.ndarray:
    """(N,) int64, equal for images that count as one: those of a group of the data set, and near-duplicates.

    pairs: (P, 2) rows that are duplicates. A chain of near-duplicates is believed unless it has more than MOST_TOGETHER
    images that are more than MOST_OF_CLASS of the largest class in it: a class that is one film could not be split.
    """
    groups = np.arange(len(dataset)) if dataset.groups is None else dataset.groups
    groups = np.unique(groups, return_inverse=True)[1]
    ends = groups[pairs]
    count = int(groups.max()) + 1
    _, chain = connected_components(coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count)))
    chains = chain[groups]  # (N,)
    sizes, largest_class = np.bincount(chains), np.zeros(count)
    np.maximum.at(largest_class, chains, np.bincount(dataset.labels)[dataset.labels])
    believed = sizes <= np.maximum(MOST_TOGETHER, MOST_OF_CLASS * largest_class[: len(sizes)])
    return np.unique(np.where(believed[chains], chains, len(sizes) + groups), return_inverse=True)[1]


def _alike(dataset: Dataset, used: np.ndarray) -> pd.DataFrame:
    """The pairs, by places in `used`: rows of the data set may move when an image comes that no split uses."""
    images = Subset(dataset, used[np.sort(np.unique(dataset.contents[used], return_index=True)[1])])
    pairs = candidates(lambda places: _greys(images, places), len(images))
    similarity = _similarities(images, pairs)
    rows = np.sort(images.rows[pairs[:, :2]], axis=1)[similarity >= UNSURE[0]]
    places = np.searchsorted(used, rows)
    table = {"row": places[:, 1], "other_row": places[:, 0], "similarity": similarity[similarity >= UNSURE[0]]}
    return pd.DataFrame(table).sort_values(["row", "other_row"], ignore_index=True)


def _similarities(images: Subset, pairs: np.ndarray) -> np.ndarray:
    """(P,) of candidates."""
    common, shapes = _common(images), _shapes(images)

    def compare(start: int) -> np.ndarray:
        places, mirrored, zoomed = np.split(pairs[start : start + CHUNK], (2, 3), axis=1)
        first, second = (_greys(images, each) - common for each in places.T)
        first = np.where(mirrored[:, :, None] == 1, first[:, :, ::-1], first)
        correlation, maps = laid_on(first, second, np.where(zoomed[:, 0] == 1, ZOOM, 1.0))
        return correlation - BENDING * bend(maps, shapes[places])

    found = [np.zeros(0)]
    with (
        bar("comparing pictures", len(pairs)) as advance,
        threadpool_limits(1),  # threads of BLAS would wait for each other
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for similarity in pool.map(compare, range(0, len(pairs), CHUNK)):
            found.append(similarity)
            advance(len(similarity))
    return np.concatenate(found)


def _common(images: Subset) -> np.ndarray:
    """What most pictures have in common, to be subtracted: their mean (S, S), where they are of one layout, else 0."""
    sample = np.unique(np.linspace(0, len(images) - 1, COMMON_SAMPLE).astype(int))
    pictures = _greys(images, np.random.default_rng(0).permutation(sample)).astype(np.float32)
    plain = normalised(pictures).reshape(len(sample), -1)
    plain /= np.maximum(np.linalg.norm(plain, axis=1, keepdims=True), 1)
    half = len(sample) // 2
    correlations = np.einsum("ij,ij->i", plain[:half], plain[half : 2 * half])
    is_one_layout = half > 10 and np.median(correlations) > COMMON
    return np.asarray(pictures.mean(axis=0) if is_one_layout else 0, dtype=np.float32)


def _shapes(images: Subset) -> np.ndarray:
    """(n, 2) width and height of what is seen of each picture, as far as known."""
    if images.files is None or images.dataset.fit == CROP:
        return np.ones((len(images), 2))
    return images.files[["width", "height"]].to_numpy(dtype=np.float64)


def _greys(images: Subset, places: np.ndarray) -> np.ndarray:
    """Pictures without the bars beside them, in grey: (n, S, S) uint8, S twice SIDE where the images have as many."""
    pixels = images.images[places]
    size = pixels.shape[1]
    side = 2 * SIDE if size >= 2 * SIDE else SIDE
    if images.files is None:
        pictures = list(pixels)
    else:
        shapes = images.files[["height", "width"]].iloc[places].to_numpy().tolist()
        fit = images.dataset.fit
        pictures = [square[inside(h, w, size, fit)] for square, (h, w) in zip(pixels, shapes, strict=True)]
    grey = [Image.fromarray(each).convert("L").resize((side, side), Image.Resampling.BILINEAR) for each in pictures]
    return np.array([np.asarray(each) for each in grey], dtype=np.uint8)
