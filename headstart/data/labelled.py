"""Images that nobody will test on here, each with a label, as a data set: what scikit-learn hands to an estimator."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.data.dataset import Dataset, Split, collection_of, digests_of
from headstart.data.decode import fitted, size_of
from headstart.data.findings import counted, some
from headstart.data.folder import collection_at
from headstart.data.folds import SPLIT_SEED, is_val
from headstart.data.listing import Listing
from headstart.data.pixels import Picture, image_of
from headstart.data.splits import units_of
from headstart.data.store import LARGEST, common_side, open_store
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

NAME = "images"


def labelled(
    pictures: Sequence[Picture],
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    fit: str,
    image_size: int | None = None,
) -> Dataset:
    """A data set of images as `image_of` takes them, of any sizes, by one split into train and val; test is empty.

    labels: (N,) integers, indices into `class_names`. fit, image_size: as for `load`. Val is cut as that of a fold is:
    copies and near-duplicates stay together, a class that has but one image trains. Files are read by all cores and
    kept by their content, so that each is decoded once, whatever folds it is in. Raises HeadstartError, which names the
    first of them, where images cannot be read.
    """
    are_files = all(isinstance(each, str | PathLike) for each in pictures)
    about = (_of_files if are_files else _in_memory)(pictures, labels, tuple(class_names), fit, image_size)
    everything, none = np.arange(len(labels)), np.arange(0)
    dataset = Dataset(
        name=NAME,
        labels=labels.astype(np.int64),
        class_names=tuple(class_names),
        splits=(Split("all", everything, none, none),),
        source="images with labels, from Python",
        cut=("val",),
        fit=fit,
        **about,
    )
    chosen = is_val(dataset, everything, units_of(dataset), f"{SPLIT_SEED} {NAME}")
    return dataset.with_splits(Split("fitted", np.flatnonzero(~chosen), np.flatnonzero(chosen), none))


def _of_files(
    files: Sequence[Any], labels: np.ndarray, names: tuple[str, ...], fit: str, image_size: int | None
) -> dict[str, Any]:
    """What a data set has of files: images, where the cache files them, and what reading them said."""
    paths = [os.path.abspath(os.path.expanduser(each)) for each in files]  # noqa: PTH100, PTH111 - of thousands
    root = Path(os.path.commonpath([os.path.dirname(each) for each in paths]))  # noqa: PTH120
    inside = tuple(os.path.relpath(each, root) for each in paths)
    no_splits = np.full(len(paths), "", "<U5")
    listing = Listing(root, inside, labels, no_splits, names, {}, {}, {}, "", ())
    collection = collection_at(root)
    store = open_store(listing, collection, fit, image_size)
    found = store.files.assign(path=[shown(path) for path in inside])
    if bad := [f"{path}: {why}" for path, why in found[["path", "error"]].itertuples(index=False) if why]:
        raise HeadstartError(
            f"{counted(len(bad), 'image')} of {len(paths):,} cannot be read: {some(bad)}; leave them out of X and y"
        )
    return {"images": store.images, "collection": collection, "files": found, "whites": store.whites}


def _in_memory(
    pictures: Sequence[Picture], labels: np.ndarray, names: tuple[str, ...], fit: str, image_size: int | None
) -> dict[str, Any]:
    """The same of pictures and arrays; each is read alone, so that few are in memory at their full size."""
    sizes = [size for each in pictures if (size := _size(each)) is not None]
    side = common_side(sizes, fit, image_size or LARGEST)
    images = np.empty((len(pictures), side, side, 3), np.uint8)
    for row, each in enumerate(pictures):
        try:
            images[row] = fitted(image_of(each), side, fit)
        except HeadstartError as error:
            raise HeadstartError(f"image {row} of {len(pictures):,}: {error}") from None
    return {"images": images, "collection": collection_of(NAME, "in memory"), "groups": digests_of(images)}


def _size(picture: Picture) -> tuple[int, int] | None:
    """Its height and width, in whichever order; None where there is no telling."""
    if isinstance(picture, str | PathLike):
        return size_of(Path(picture))
    if isinstance(picture, Image.Image):
        return picture.size
    shape = np.shape(picture)
    return (shape[0], shape[1]) if len(shape) in (2, 3) and all(shape) else None
