"""The one way to labelled images: `load(name)`, whatever the data set and wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from headstart.data import cifar10
from headstart.data.dataset import Dataset, Split
from headstart.errors import HeadstartError

Loader = Callable[[Path | None, bool, int], Dataset]
"""(data_dir, offline, split_seed) -> Dataset"""

DATASETS: dict[str, Loader] = {"cifar10": cifar10.load}


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    offline: bool = False,
    train_limit: int | None = None,
    split_seed: int = 0,
) -> Dataset:
    """Load a data set by name, split into train, val and test: images (N, H, W, 3) uint8, labels (N,) int64.

    data_dir: a folder or archive that has the data already. offline: touch no network.
    train_limit: train on so many images only, a stratified choice; val and test stay whole.
    split_seed: fixes which images are set aside for val, and which ones a limit keeps. It is not the training seed:
    runs with different training seeds share one split, and so one pass through the frozen part, and stay paired.

    Raises HeadstartError for an unknown name, an impossible `train_limit`, and data that cannot be had.
    """
    if name not in DATASETS:
        raise HeadstartError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
    if train_limit is not None and train_limit < 1:
        raise HeadstartError(f"the train limit is a number of images, at least 1: {train_limit} is not")
    dataset = DATASETS[name](None if data_dir is None else Path(data_dir), offline, split_seed)
    if train_limit is None or train_limit == len(dataset.train):
        return dataset
    return replace(dataset, train=_limited(dataset.train, train_limit, split_seed, dataset.class_names))


def _limited(train: Split, limit: int, seed: int, class_names: tuple[str, ...]) -> Split:
    from headstart.data.splits import stratified  # scikit-learn: a second that no other command should pay

    least, most = len(class_names), len(train) - len(class_names)
    if not least <= limit <= most:
        raise HeadstartError(
            f"the train limit must lie between {least:,} (one image of each class) and {most:,}, "
            f"or be all {len(train):,}: {limit:,} does not"
        )
    _, kept = stratified(train.labels, limit, seed)
    return Split(train.images[kept], train.labels[kept])
