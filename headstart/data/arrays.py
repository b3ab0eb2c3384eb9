"""Images that are in memory already, as a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.data.dataset import Dataset, collection_of, digests_of
from headstart.data.decode import fitted
from headstart.data.splits import cut_missing, parts_to_cut, refuse_unusable, split_of
from headstart.errors import HeadstartError
from headstart.options import given, seed, text

SMALLEST = 8  # pixels a side: the networks from scratch halve an image three times


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | Sequence[int],
    class_names: Sequence[str],
    *,
    splits: Sequence[str] | None = None,
    name: str = "arrays",
    split_seed: int = 0,
) -> Dataset:
    """A data set of images in memory, split like a folder's.

    images: uint8, (N, H, W, 3), or grey as (N, H, W) or (N, H, W, 1); those that are no squares are fitted into one.
    labels: (N,) integers, indices into `class_names`. splits: (N,) "train", "val" or "test"; those that are missing are
    cut. Raises HeadstartError for other shapes and types, images below SMALLEST pixels, labels without a name, classes
    with too few images, and splits that leave a part, or a class in it, without an image.
    """
    class_names, name = given("class_names", class_names, _names), given("name", name, text)
    split_seed = given("split_seed", split_seed, seed)
    pixels, numbers = np.asarray(images), np.asarray(labels)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or not pixels.size:
        raise HeadstartError(
            f"images must be uint8 (N, H, W, 3), values 0 to 255, or grey (N, H, W); got {pixels.dtype} "
            f"{np.shape(images)}"
        )
    if max(pixels.shape[1:3]) < SMALLEST:
        raise HeadstartError(
            f"images of {pixels.shape[2]} x {pixels.shape[1]} pixels are too small: {SMALLEST} a side is the least"
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
    words = np.full(len(pixels), "", "<U5") if splits is None else np.asarray(splits, dtype=np.str_)
    if words.shape != numbers.shape or not set(words) <= {"", "train", "val", "test"}:
        raise HeadstartError(f"splits must be {len(pixels):,} words, each train, val or test")
    if pixels.shape[1] != pixels.shape[2]:
        pixels = np.stack([fitted(np.broadcast_to(each, (*each.shape[:2], 3)), max(each.shape)) for each in pixels])
    pixels = np.array(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))  # a copy: theirs stays theirs
    numbers = numbers.astype(np.int64)
    digests = digests_of(pixels)
    groups = np.unique(digests, return_inverse=True)[1]  # identical images stay together
    split = split_of(cut_missing(words, numbers, groups, split_seed, class_names))
    refuse_unusable(split, numbers, class_names, name)
    collection = collection_of(name, "".join(digests))
    cut = parts_to_cut(words)
    about = (name, pixels, numbers, tuple(class_names), (split,), "arrays in memory", collection)
    made = Dataset(*about, groups=groups, cut=cut)
    made.__dict__.update(digests=digests)
    return made


def _names(value: Sequence[str]) -> tuple[str, ...]:
    """Each of several names, in their order; two may be the same."""
    if isinstance(value, str):
        raise ValueError("is one name, not several")
    return tuple(text(each) for each in value)
