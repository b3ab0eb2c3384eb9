"""Data sets made of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.data.dataset import Dataset, Split

CLASS_NAMES = ("red", "green", "blue")

Part = tuple[np.ndarray, np.ndarray]
"""Images (n, H, W, 3) uint8 and labels (n,) int64."""


def dataset_of(
    name: str, class_names: Sequence[str], train: Part, val: Part, test: Part, source: str = "made by the tests"
) -> Dataset:
    """A data set whose parts are given."""
    images, labels = (np.concatenate(each) for each in zip(train, val, test, strict=True))
    ends = np.cumsum([len(train[1]), len(val[1])])
    split = Split("holdout", *np.split(np.arange(len(labels)), ends))
    return Dataset(name, images, labels, tuple(class_names), (split,), source, collection=name)


def coloured_part(count: int, size: int, seed: int) -> Part:
    """Noise with more of one channel: a class a channel, learnt within a few steps."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASS_NAMES)
    images = generator.integers(0, 120, (count, size, size, 3))
    images[np.arange(count), :, :, labels] += 100
    return images.astype(np.uint8), labels.astype(np.int64)
