"""Images that are in memory already, as a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.data.dataset import Dataset, collection_of, digests_of
from headstart.data.decode import fitted, own_side
from headstart.data.groups import refuse_crossing
from headstart.data.labels import checked_names, classes_of, refuse_unfit, split_named
from headstart.data.splits import cut_missing
from headstart.errors import HeadstartError
from headstart.options import Options
from headstart.values import given, seed, text

SMALLEST = 8  # pixels a side: the networks from scratch halve an image three times


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | Sequence[int],
    class_names: Sequence[str],
    *,
    splits: Sequence[str] | None = None,
    groups: Sequence[str] | Sequence[int] | None = None,
    name: str = "arrays",
    split_seed: int = 0,
    fit: str = Options().fit,
) -> Dataset:
    """A data set of images in memory, split like a folder's.

    images: uint8, (N, H, W, 3), or grey as (N, H, W) or (N, H, W, 1); those that are no squares are brought into
    one by `fit`, as `load` says.
    labels: (N,) integers, indices into `class_names`. splits: (N,) "train", "val" or "test"; those that are missing are
    cut. groups: (N,) names or numbers, equal for images that belong together, such as those of one patient. Raises
    HeadstartError for other shapes and types, images below SMALLEST pixels, labels without a name, names that are none
    or twice the same, and a group that is in two splits; and UnusableDataError for what `unfit` finds of classes and
    splits.
    """
    class_names, name = checked_names(class_names), given("name", name, text)
    split_seed = given("split_seed", split_seed, seed)
    pixels, numbers = np.asarray(images), np.asarray(labels)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or not pixels.size:
        raise HeadstartError(
            f"images must be uint8 (N, H, W, 3), values 0 to 255, or grey (N, H, W); got {pixels.dtype} "
            f"{np.shape(images)}"
        )
    fit = Options(fit=fit).fit
    if (side := own_side(pixels.shape[1], pixels.shape[2], fit)) < SMALLEST:
        raise HeadstartError(
            f"images of {pixels.shape[2]} x {pixels.shape[1]} pixels are too small for squares of {SMALLEST} a side"
            + (f": {fit} leaves {side}" if side < max(pixels.shape[1:3]) else ", the least there is")
        )
    if numbers.shape != (len(pixels),) or not np.issubdtype(numbers.dtype, np.integer):
        raise HeadstartError(
            f"labels must be {len(pixels):,} integers, one an image; got {numbers.dtype} {numbers.shape}"
        )
    if len(class_names) < 2 or numbers.min() < 0 or numbers.max() >= len(class_names):
        raise HeadstartError(
            f"labels run from {numbers.min()} to {numbers.max()}: they must be indices into two or more class names, "
            f"and there are {len(class_names)}"
        )
    words = np.full(len(pixels), "") if splits is None else np.asarray(splits, dtype=np.str_)
    parts = np.array([split_named(str(word)) or "" for word in words.flat], dtype="<U5")
    if words.shape != numbers.shape or np.any((words != "") & (parts == "")):
        raise HeadstartError(f"splits must be {len(pixels):,} words, each train, val or test")
    named = None if groups is None else np.asarray(groups).astype(np.str_)
    if named is not None:
        if named.shape != numbers.shape:
            raise HeadstartError(f"groups must be {len(pixels):,} names or numbers, one an image; got {named.shape}")
        refuse_crossing(named, parts, [f"image {row}" for row in range(len(pixels))])
    if pixels.shape[1] != pixels.shape[2]:
        pixels = np.stack([fitted(np.broadcast_to(each, (*each.shape[:2], 3)), side, fit) for each in pixels])
    pixels = np.array(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))  # a copy: theirs stays theirs
    numbers = numbers.astype(np.int64)
    digests = digests_of(pixels)
    collection = collection_of(name, "".join(digests))
    about = (name, pixels, numbers, class_names, (), "arrays in memory", collection)
    _, found = classes_of(class_names)
    dataset = Dataset(
        *about,
        groups=digests if named is None else named,
        labels_from="the labels that were given",
        found=tuple(found),
        fit=fit,
    )
    dataset.__dict__.update(digests=digests)
    refuse_unfit(dataset, parts)
    return cut_missing(dataset, parts, split_seed)
