"""What every data source gives and every later stage takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Rows:
    """Chosen rows of a larger array, read when they are indexed: images of a split that need not fit into memory.

    base: (M, H, W, 3) uint8, memory-mapped. rows: (N,) indices into it. digests: (M,) what tells a row's content.
    """

    base: np.ndarray
    rows: np.ndarray
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Index the first axis as numpy does, by a number, a slice or an array; what is chosen is copied to memory."""
        return np.array(self.base[self.rows[index]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""
        return (len(self), *self.base.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always uint8."""
        return self.base.dtype

    def take(self, indices: np.ndarray) -> Rows:
        """Some of these rows; none is read."""
        return Rows(self.base, self.rows[indices], self.digests)


Images = np.ndarray | Rows
"""(N, H, W, 3) uint8."""


@dataclass(frozen=True)
class Split:
    """Images and their labels, in a fixed order.

    images: (N, H, W, 3) uint8, an array, or `Rows` of one on disk. labels: (N,) int64, indices into the data set's
    `class_names`. files: a row an image, as `store.open_store` describes them, with its `path`; None where the images
    never were files of the user's.
    """

    images: Images
    labels: np.ndarray
    files: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shape and pixels: what cached activations are keyed by. Labels do not enter."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        if isinstance(self.images, Rows):  # their content was hashed when it was read
            digest.update(self.images.digests[self.images.rows].tobytes())
        else:
            digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()

    def take(self, indices: np.ndarray) -> Split:
        """Some of the images, with all that belongs to them, in the order of `indices`."""
        images = self.images.take(indices) if isinstance(self.images, Rows) else self.images[indices]
        files = None if self.files is None else self.files.iloc[indices].reset_index(drop=True)
        return Split(images, self.labels[indices], files)


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test splits of one labelled image collection.

    fingerprint: SHA-256 of the whole decoded content and its labels. source: where it was found, in words. unreadable:
    path -> why it gave no image, of the files that had to be left out. ignored: why -> how many files were no images.
    """

    name: str
    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str
    source: str
    unreadable: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def splits(self) -> dict[str, Split]:
        """Name -> split."""
        return {"train": self.train, "val": self.val, "test": self.test}


def fingerprint_of(class_names: Sequence[str], splits: Mapping[str, Split]) -> str:
    """SHA-256 of class names, pixels and labels: what makes two data sets one."""
    said = [list(class_names), *((name, split.fingerprint, split.labels.tolist()) for name, split in splits.items())]
    return hashlib.sha256(ascii(said).encode()).hexdigest()
