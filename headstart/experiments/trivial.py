"""What classifiers say that learn next to nothing, on every split: the floor below all candidates."""

from __future__ import annotations

import numpy as np

from headstart.data.dataset import Dataset, Split
from headstart.data.resized import images_at
from headstart.results.trivial import Answers

SIDE = 16  # pixels of a thumbnail
LARGEST, NEAREST = "always the largest class", "nearest mean of thumbnails"


def answers(dataset: Dataset) -> dict[str, list[Answers]]:
    """Name -> what it says of the test images of each split.

    LARGEST: the class with the most training images. NEAREST: the class whose mean training image, SIDE pixels a side,
    is nearest.
    """
    base, rows = images_at(dataset, np.arange(len(dataset)), SIDE)
    tested = dataset.tested.rows
    found: dict[str, list[Answers]] = {LARGEST: [], NEAREST: []}
    for split in dataset.splits:
        counts = np.bincount(dataset.labels[split.train], minlength=len(dataset.class_names))
        said = {
            LARGEST: np.full(len(split.test), counts.argmax()),
            NEAREST: _nearest(dataset, split, base, rows, counts),
        }
        for name, classes in said.items():
            places = np.searchsorted(tested, split.test)
            found[name].append(Answers(places, dataset.labels[split.test], classes))
    return found


def _nearest(dataset: Dataset, split: Split, base: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(n,) the class whose mean is nearest to each test image."""

    def thumbnails(chosen: np.ndarray) -> np.ndarray:
        return base[rows[chosen]].reshape(len(chosen), -1).astype(np.float32)

    means = np.full((len(counts), base[0].size), np.inf, np.float32)
    for label in np.flatnonzero(counts):
        means[label] = thumbnails(split.train[dataset.labels[split.train] == label]).mean(axis=0)
    known = np.flatnonzero(counts)
    lengths = (means[known] ** 2).sum(axis=1)
    return known[(lengths - 2 * thumbnails(split.test) @ means[known].T).argmin(axis=1)]
