"""Which images train, which ones every choice is made on, and which are kept for the end.

An image's part follows from its content, or the name of its group, and the seed, so that other images do not move it:
docs/decisions/splits.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.model_selection import train_test_split

from headstart.data.dataset import PARTS, Dataset, Split
from headstart.data.duplicates import find_duplicates, rows_of, together
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

SHARES = {"test": 0.15, "val": 0.10}  # of the images that are to be split; the rest is train


def stratified(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the indices of `labels` (N,) into two sorted arrays, N - size and size long, with equal class shares.

    For a data set that never changes. Raises HeadstartError when `size` leaves a class without an image on one of the
    sides.
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


def units_of(dataset: Dataset) -> np.ndarray:
    """(N,) str, equal for images that stay together: those of a group, copies and near-duplicates (`together`).

    A unit is called by the first of the names that its images have in `groups`, so that its name stays the same while
    its images do.
    """
    whole = dataset.whole
    chains = together(whole, rows_of(whole, find_duplicates(whole)))
    names = dataset.contents if dataset.groups is None else dataset.groups
    order = np.argsort(names, kind="stable")
    _, firsts, unit_of = np.unique(chains[order], return_index=True, return_inverse=True)
    units = np.empty_like(names)
    units[order] = names[order][firsts][unit_of]
    return units


def units_a_class(units: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(C,) how many units have an image of each class. units: (N,) str. labels: (N,) int below `classes`."""
    _, unit_of = np.unique(units, return_inverse=True)
    return np.bincount(np.unique(unit_of * classes + labels) % classes, minlength=classes)


def numbers(names: Sequence[str] | np.ndarray, salt: str) -> np.ndarray:
    """(U,) float64 in [0, 1), as if by chance, but for one name and salt always the same: the first 53 bits of SHA-256
    of the two."""
    digests = (hashlib.sha256(f"{salt} {name}".encode("utf-8", "surrogateescape")).digest() for name in names)
    return np.array([int.from_bytes(digest[:8], "big") >> 11 for digest in digests], dtype=float) / 2**53


def placed(
    units: np.ndarray,
    labels: np.ndarray,
    shares: Sequence[float],
    salt: str,
    class_names: Sequence[str],
    least: Sequence[int] | int = 1,
) -> np.ndarray:
    """(N,) int, which of P parts each image falls into: the one in whose share of [0, 1) the number of its unit lies.

    units: (N,) str, equal for images that stay together. labels: (N,) int. shares: (P,) of the parts, sum 1. A class
    that would be missing from a part is repaired with as few moves as can be: the unit goes there whose number lies
    nearest, of those whose classes can spare it. least: (P,) from how many units on a class must be in that part; one
    with fewer units than parts is to be in as many as it has units. Raises HeadstartError where that cannot be, because
    units of several classes stand in the way.
    """
    names, unit_of = np.unique(units, return_inverse=True)
    at, ends = numbers(names, salt), np.cumsum(shares)
    ends[-1] = 1.0  # not a rounding error less
    part_of = np.searchsorted(ends, at, side="right")
    gaps = np.maximum(at[:, None] - ends, ends - shares - at[:, None])  # (U, P) from each number to each part's share
    unit, label = np.divmod(np.unique(unit_of * len(class_names) + labels), len(class_names))  # each pair once
    of_class = np.bincount(label, minlength=len(class_names))
    wanted = of_class >= np.broadcast_to(least, (len(ends),))[:, None]  # (P, C)
    _repair(part_of, gaps, unit, label, wanted, class_names)
    return part_of[unit_of]


def _repair(
    part_of: np.ndarray,
    gaps: np.ndarray,
    unit: np.ndarray,
    label: np.ndarray,
    wanted: np.ndarray,
    class_names: Sequence[str],
) -> None:
    """Move units, in place, until each class is in as many of the parts that want it as it can be: see `placed`.

    part_of: (U,) int. gaps: (U, P) how far each unit is from each part. unit, label: (pairs,) the classes of each unit,
    in the order of the units. wanted: (P, C) bool.
    """
    of_class = np.bincount(label, minlength=len(class_names))
    enough = np.minimum(of_class, wanted.sum(axis=0))
    held = np.zeros(wanted.shape, dtype=int)
    np.add.at(held, (part_of[unit], label), 1)
    by_class = np.split(np.argsort(label, kind="stable"), np.cumsum(of_class)[:-1])  # class -> its pairs
    first = np.searchsorted(unit, np.arange(len(part_of) + 1))  # unit -> where its pairs begin

    def alone(pairs: np.ndarray) -> np.ndarray:  # whether the unit is its part's only one of the class
        at = part_of[unit[pairs]]
        return wanted[at, label[pairs]] & (held[at, label[pairs]] == 1)

    is_alone = alone(np.arange(len(unit)))
    needed = np.bincount(unit, is_alone, minlength=len(part_of)).astype(int)  # unit -> of how many classes it is that
    short = np.flatnonzero((wanted & (held > 0)).sum(axis=0) < enough)
    for each in short[np.argsort(of_class[short], kind="stable")]:  # the rarest class chooses first
        while (wanted[:, each] & (held[:, each] > 0)).sum() < enough[each]:
            empty = np.flatnonzero(wanted[:, each] & (held[:, each] == 0))
            free = (movable := unit[by_class[each]])[needed[movable] == 0]
            if not len(free):
                raise HeadstartError(
                    f"the images of class {shown(class_names[each])!r} are in groups that also hold other classes, and "
                    "cannot be shared out so that every part has every class: add groups, or leave the class out"
                )
            distance = gaps[np.ix_(free, empty)]
            which, where = np.unravel_index(distance.argmin(), distance.shape)
            moved = label[first[free[which]] : first[free[which] + 1]]
            held[part_of[free[which]], moved] -= 1
            held[empty[where], moved] += 1
            part_of[free[which]] = empty[where]
            for pairs in (by_class[other] for other in moved):
                needed[unit[pairs]] += (now := alone(pairs)).astype(int) - is_alone[pairs]
                is_alone[pairs] = now


def nested_order(labels: np.ndarray, contents: np.ndarray, seed: int) -> np.ndarray:
    """All indices of `labels` (N,), so ordered that every beginning has about the class shares of the whole.

    So the images of a smaller training set are among those of every larger one. An image of each class comes first;
    the others of a class are spread evenly over the order, by chance which of them where: their contents (N,) str and
    the seed decide, so that one image more changes a beginning by one or two.
    """
    shuffled = np.argsort(numbers(contents, f"{seed} order"), kind="stable")
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, counts = np.unique(labels, return_counts=True)
    size = np.repeat(counts, counts)  # (N,) how many images the class of each has
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # of each in its class
    return by_class[np.argsort(np.where(place == 0, 0, (place + 0.5) / size), kind="stable")]


def split_of(parts: np.ndarray, name: str = "holdout") -> Split:
    """The split in which each image is in the part that is said of it: (N,) "train", "val" or "test"."""
    return Split(name, *(np.flatnonzero(parts == part) for part in PARTS))


def cut_missing(dataset: Dataset, parts: np.ndarray, seed: int) -> Dataset:
    """The same images by one split, in which each has a part. Parts that are there stay as they are; val and test,
    where they are missing, are cut from train (or from the images that have none) by SHARES, units whole.

    parts: (N,) "train", "val", "test" or "", in which `labels.unfit` finds nothing. Raises HeadstartError where a class
    has too few units to be in each part.
    """
    splits = np.where(parts == "", "train", parts).astype("<U5")
    missing = [name for name in SHARES if name not in splits]
    pool = np.flatnonzero(splits == "train")
    if missing and len(pool):
        units, labels = units_of(dataset)[pool], dataset.labels[pool]
        refuse_few(dataset, units, pool, 1 + len(missing), f"one each for train, {' and '.join(missing)}")
        shares = [*(SHARES[name] for name in missing), 1 - sum(SHARES[name] for name in missing)]
        part_of = placed(units, labels, shares, f"{seed} holdout", dataset.class_names)
        splits[pool] = np.array([*missing, "train"])[part_of]
    made = replace(dataset, splits=(split_of(splits),), cut=tuple(missing))
    made.__dict__.update(digests=dataset.digests)
    return made


def refuse_few(dataset: Dataset, units: np.ndarray, rows: np.ndarray, least: int, what_for: str) -> None:
    """Raise HeadstartError where a class has fewer than so many units. units: (n,) of these rows."""
    counts = units_a_class(units, dataset.labels[rows], len(dataset.class_names))
    if counts.min() < least:
        name, what = shown(dataset.class_names[counts.argmin()]), "groups" if dataset.has_groups else "different images"
        raise HeadstartError(
            f"class {name!r} has too few {what}: {counts.min()}, and {least} are needed ({what_for}); add some, or "
            "leave the class out"
        )
