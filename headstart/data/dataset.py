"""What every data source gives and every later stage takes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Split:
    """Images and their labels, in a fixed order.

    images: (N, H, W, 3) uint8, possibly memory-mapped. labels: (N,) int64, indices into the data set's `class_names`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape and pixels: what cached activations are keyed by. Labels do not enter."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test splits of one labelled image collection.

    fingerprint: SHA-256 of the whole decoded content. source: where it was found, in words.
    """

    name: str
    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels
