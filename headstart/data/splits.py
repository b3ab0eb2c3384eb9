"""Which images train, which ones every choice is made on, and which are kept for the end: stratified and seeded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from headstart.data.dataset import PARTS, Split
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

SHARES = {"test": 0.15, "val": 0.10}  # of the images that are to be split; the rest is train


def stratified(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the indices of `labels` (N,) into two sorted arrays, N - size and size long, with equal class shares.

    Raises HeadstartError when `size` leaves a class without an image on one of the sides.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise HeadstartError(
            f"class {classes[counts.argmin()]} has a single image: a stratified split needs two of each"
        )
    if not len(classes) <= size <= len(labels) - len(classes):
        raise HeadstartError(
            f"cannot set aside {size} of {len(labels)} images in {len(classes)} classes: "
            "each class needs an image on both sides"
        )
    rest, chosen = train_test_split(np.arange(len(labels)), test_size=size, stratify=labels, random_state=seed)
    return np.sort(rest), np.sort(chosen)


def nested_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """All indices of `labels` (N,), so ordered that every beginning has about the class shares of the whole.

    So the images of a smaller training set are among those of every larger one. An image of each class comes first;
    the others of a class are spread evenly over the order, by chance which of them where.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, counts = np.unique(labels, return_counts=True)
    size = np.repeat(counts, counts)  # (N,) how many images the class of each has
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # of each in its class
    return by_class[np.argsort(np.where(place == 0, 0, (place + 0.5) / size), kind="stable")]


def split_of(parts: np.ndarray, name: str = "holdout") -> Split:
    """The split in which each image is in the part that is said of it: (N,) "train", "val" or "test"."""
    return Split(name, *(np.flatnonzero(parts == part) for part in PARTS))


def parts_to_cut(parts: np.ndarray) -> tuple[str, ...]:
    """Which of test and val no image is in: (N,) "train", "val", "test" or ""."""
    return tuple(name for name in SHARES if name not in parts)


def cut_missing(
    parts: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int, class_names: Sequence[str]
) -> np.ndarray:
    """Give every image a part: (N,) "train", "val" or "test". Parts that are there stay as they are; val and test,
    where they are missing, are cut class by class from train (or from the images that have none) by SHARES.

    parts: (N,) "train", "val", "test" or "". labels: (N,) int. groups: (N,) equal for images that stay together.
    Raises HeadstartError where a class has too few groups to be in each part.
    """
    splits = np.where(parts == "", "train", parts).astype("<U5")
    missing = parts_to_cut(splits)
    pool = np.flatnonzero(splits == "train")
    _, firsts, group_of = np.unique(groups[pool], return_index=True, return_inverse=True)
    group_labels = labels[pool][firsts]
    counts = np.bincount(group_labels, minlength=len(class_names))
    if missing and counts.min() < 1 + len(missing):
        needed = " and ".join(["one for train", *(f"one for {name}" for name in missing)])
        raise HeadstartError(
            f"class {shown(class_names[int(counts.argmin())])!r} has too few different images: {counts.min()}, and "
            f"{1 + len(missing)} are needed ({needed}); add images, or leave the class out"
        )
    generator = np.random.default_rng(seed)
    for label in range(len(class_names)):
        left = generator.permutation(np.flatnonzero(group_labels == label))
        for name in missing:
            size = max(1, round(SHARES[name] * counts[label]))
            chosen, left = left[:size], left[size:]
            splits[pool[np.isin(group_of, chosen)]] = name
    return splits
