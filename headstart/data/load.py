"""The one way to labelled images: `load(data)`, a data set by its name or a user's own by its folder or CSV."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.cifar10 import sources as cifar10
from headstart.data.dataset import Dataset
from headstart.data.labels import checked
from headstart.errors import HeadstartError
from headstart.options import Options
from headstart.runtime.console import say
from headstart.runtime.failures import machine_errors
from headstart.values import given, path, seed

Loader = Callable[[Path | None, bool, int], Dataset]
"""(data_dir, offline, split_seed) -> Dataset"""

DATASETS: dict[str, Loader] = {"cifar10": cifar10.load}


@machine_errors()
def load(
    data: str | Path,
    *,
    data_dir: str | Path | None = None,
    offline: bool = False,
    train_limit: int | None = None,
    split_seed: int = 0,
    image_size: int | None = None,
    max_bad: float = Options().max_bad,
    follow_links: bool = False,
    fit: str = Options().fit,
    group: str | None = None,
) -> Dataset:
    """Load a data set, split into train, val and test: images (N, H, W, 3) uint8, labels (N,) int64.

    data: the name of a data set, or a folder of images (photos/<class>/**, or photos/{train,val,test}/<class>/**, and
    what `layout.recognise` takes for these), or a CSV with the columns path, label and, if wanted, split. data_dir: a
    folder or archive that has a data set of that name already. offline: touch no network.
    train_limit: train on so many images only, see `limited`.
    split_seed: fixes which images are set aside for val (and for test where none is given), and which ones a limit
    keeps. It is not the training seed: runs with different training seeds share one split, and so one pass through the
    frozen part, and stay paired.
    image_size: the most pixels a side that a user's images are kept at (default 224). max_bad: the share of a user's
    files that may be unreadable. follow_links: whether links in a folder are followed.
    fit: how a picture that is no square is brought into one, there and by every classifier that is trained on these:
    "stretch" keeps all of it, distorted, "crop" its middle, "letterbox" all of it, between bars.
    group: which of a user's images belong together, such as those of one patient, and are on one side of every split: a
    column of the CSV, or a pattern on the path, relative to the folder, with one capture.

    Raises HeadstartError for an unknown name or fit, an impossible `train_limit`, and data that cannot be had.
    """
    place, split_seed = given("data", data, path), given("split_seed", split_seed, seed)
    asked: dict[str, Any] = {"data_dir": data_dir, "offline": offline, "train_limit": train_limit}
    asked |= {"image_size": image_size, "max_bad": max_bad, "follow_links": follow_links, "fit": fit, "group": group}
    Options.of(asked)
    if data in DATASETS:
        if group is not None:
            raise HeadstartError(f"--group is for a folder or CSV of your own: {data} has no groups")
        if os.path.lexists(place):
            say(f"data: {data} is the data set of that name; what lies here under it is ./{data}")
        known = DATASETS[str(data)]
        loaded = checked(known(None if data_dir is None else path(data_dir), offline, split_seed))
        dataset = replace(loaded, fit=fit)  # its own images are squares
    else:
        dataset = _load_own(
            place,
            data_dir,
            split_seed,
            image_size=image_size,
            max_bad=max_bad,
            follow_links=follow_links,
            fit=fit,
            group=group,
        )
    return dataset if train_limit is None else limited(dataset, train_limit, split_seed)


def limited(dataset: Dataset, images: int, seed: int = 0) -> Dataset:
    """The same data set with so many training images only, a stratified choice; val and test stay whole.

    With one seed choices are nested: what a smaller one keeps, every larger one keeps too. Raises HeadstartError where
    there are fewer images than classes, or more than there are.
    """
    from headstart.data.splits import nested_order  # scikit-learn: a second that no other command should pay

    least, most = len(dataset.class_names), min(len(split.train) for split in dataset.splits)
    if not least <= images <= most:
        raise HeadstartError(
            f"{dataset.name} can be limited to between {least:,} training images (one of each class) and all "
            f"{most:,}: {images:,} is not between them"
        )

    def shortened(rows: np.ndarray) -> np.ndarray:
        return rows[np.sort(nested_order(dataset.labels[rows], dataset.contents[rows], seed)[:images])]

    return dataset.with_splits(*(replace(split, train=shortened(split.train)) for split in dataset.splits))


def _load_own(
    place: Path,
    data_dir: str | Path | None,
    split_seed: int,
    *,
    image_size: int | None,
    max_bad: float,
    follow_links: bool,
    fit: str,
    group: str | None,
) -> Dataset:
    if not os.path.lexists(place):
        raise HeadstartError(
            f"{str(place)!r} is neither a folder or CSV of images nor a known data set: {', '.join(DATASETS)}"
        )
    if data_dir is not None:
        raise HeadstartError(f"--data-dir says where {' or '.join(DATASETS)} lies; {place} is a folder of its own")
    from headstart.data import folder  # pandas, Pillow, joblib: not for commands that need none of them

    return folder.load(
        place, split_seed, image_size=image_size, max_bad=max_bad, follow_links=follow_links, fit=fit, group=group
    )
