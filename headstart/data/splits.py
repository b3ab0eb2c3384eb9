"""Which images train, and which ones every choice is made on: stratified and seeded."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from headstart.errors import HeadstartError


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
