"""What every data source gives and every later stage takes: one collection of images, and splits that choose rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.options import Options
from headstart.runtime.text import html_table

if TYPE_CHECKING:
    import pandas as pd

    from headstart.data.findings import Finding

PARTS = ("train", "val", "test")
CLASSES_SHOWN = 20  # in a notebook


@dataclass(frozen=True, eq=False)
class Rows:
    """Chosen rows of a larger array, read when they are indexed: images that need not fit into memory.

    base: (M, H, W, 3) uint8, memory-mapped. rows: (N,) indices into it.
    """

    base: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Index as numpy does; what is chosen is copied to memory, and before that all where pixels are chosen too."""
        if isinstance(index, tuple):
            return self[:][index]
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
        return Rows(self.base, self.rows[indices])


Images = np.ndarray | Rows
"""(N, H, W, 3) uint8."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which images train, which ones every choice is made on, and which are kept for the end.

    name: "holdout" for the only split; each of several has its own. train, val, test: (n,) int64 rows of the data set,
    ascending; no row is in two of them.
    """

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """ "train", "val" and "test" -> rows."""
        return {part: getattr(self, part) for part in PARTS}


@dataclass(frozen=True, eq=False)
class Subset:
    """Chosen rows of a data set, with all that belongs to them; a view that copies nothing before it is indexed."""

    dataset: Dataset
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def images(self) -> Rows:
        """(n, H, W, 3) uint8."""
        images = self.dataset.images
        return images.take(self.rows) if isinstance(images, Rows) else Rows(images, self.rows)

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) int64, indices into the data set's `class_names`."""
        return self.dataset.labels[self.rows]

    @cached_property
    def digests(self) -> np.ndarray:
        """(n,) str, SHA-256 of each image's shape and pixels."""
        return self.dataset.digests[self.rows]

    @cached_property
    def files(self) -> pd.DataFrame | None:
        """A row an image; None where the images never were files of the user's."""
        files = self.dataset.files
        return None if files is None else files.iloc[self.rows].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One labelled collection of images, and one or more ways to split it.

    images: (N, S, S, 3) uint8, an array, or `Rows` of one on disk. labels: (N,) int64, indices into `class_names`.
    splits: at least one; `train`, `val` and `test` are those of the first. source: where it was found, in words.
    collection: what the cache files it under, equal for a folder before and after photos were added. files: a row an
    image, with its `path` and what reading it said (`store.FileTraits`); None where they never were files. groups: (N,)
    str, equal for images that must stay on one side of every split: names that the user gave, or `contents` (None: the
    same). unreadable: path -> why it gave no image, of the files that had to be left out. ignored: why -> how many
    files were no images. cut: the parts that nobody gave, and that were therefore set aside by us. labels_from: where
    the labels are from, in words. found: what was guessed when it was read, and what is wrong with it. fit: how a
    picture that is no square was brought into one, and in use will be: see `decode.fitted`. whites: which value is
    white where the type of pixels does not say, see `ranges`.
    """

    name: str
    images: Images
    labels: np.ndarray
    class_names: tuple[str, ...]
    splits: tuple[Split, ...]
    source: str
    collection: str
    files: pd.DataFrame | None = None
    groups: np.ndarray | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    labels_from: str = ""
    found: tuple[Finding, ...] = ()
    fit: str = Options().fit
    whites: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def _repr_html_(self) -> str:
        """In a notebook: how many images of each class are in each part, by the first split."""
        parts = self.parts.values()
        counts = [np.bincount(part.labels, minlength=len(self.class_names)) for part in parts]
        rows = [(name, *(f"{of_part[i]:,}" for of_part in counts)) for i, name in enumerate(self.class_names)]
        height, width, _ = self.image_shape
        left = len(rows) - CLASSES_SHOWN
        return html_table(
            f"{self.name}: {len(self):,} images of {width} x {height} pixels, {len(rows)} classes",
            ("", *self.parts),
            [*rows[:CLASSES_SHOWN], ("all", *(f"{len(part):,}" for part in parts))],
            f"and {left:,} more classes" if left > 0 else "",
            f"{len(self.splits)} splits, of which this is the first" if len(self.splits) > 1 else "",
            self.source,
        )

    @property
    def train(self) -> Subset:
        """The images to train on, by the first split."""
        return Subset(self, self.splits[0].train)

    @property
    def val(self) -> Subset:
        """The images that every choice is made on, by the first split."""
        return Subset(self, self.splits[0].val)

    @property
    def test(self) -> Subset:
        """The images that are looked at once, by the first split."""
        return Subset(self, self.splits[0].test)

    @property
    def parts(self) -> dict[str, Subset]:
        """ "train", "val" and "test" -> its images, by the first split."""
        return {part: Subset(self, rows) for part, rows in self.splits[0].parts.items()}

    @property
    def tested(self) -> Subset:
        """The images that any of the splits tests, each once, ascending."""
        return Subset(self, np.unique(np.concatenate([split.test for split in self.splits])))

    @property
    def whole(self) -> Dataset:
        """The same images, all of them to train on."""
        none = np.arange(0)
        return self.with_splits(Split("all", np.arange(len(self)), none, none))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @cached_property
    def digests(self) -> np.ndarray:
        """(N,) str, SHA-256 of each image's shape and pixels: what everything computed of an image is kept under."""
        if self.files is not None:
            return self.files["square"].to_numpy(dtype=np.str_)
        return digests_of(self.images)

    @cached_property
    def contents(self) -> np.ndarray:
        """(N,) str, SHA-256 of each image as it was read, before it was fitted into a square: what it is told by, at
        whatever size it is kept."""
        return self.digests if self.files is None else self.files["sha256"].to_numpy(dtype=np.str_)

    @property
    def has_groups(self) -> bool:
        """Whether the user said which images belong together."""
        return self.groups is not None and not np.array_equal(self.groups, self.contents)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of class names, pixels, labels, and of what is held out by which split: what makes two data sets one.

        Which of the others train does not enter: a limited data set has the fingerprint of the whole.
        """
        held_out = [(split.name, split.val.tolist(), split.test.tolist()) for split in self.splits]
        said = [list(self.class_names), self.digests.tolist(), self.labels.tolist(), held_out]
        return hashlib.sha256(ascii(said).encode()).hexdigest()

    def on(self, split: str) -> Dataset:
        """The same images by one of the splits alone; HeadstartError where there is none of that name."""
        found = [each for each in self.splits if each.name == split]
        if not found:
            raise HeadstartError(f"{self.name} has no split {split!r}: {', '.join(each.name for each in self.splits)}")
        return self.with_splits(found[0])

    def with_splits(self, *splits: Split) -> Dataset:
        """The same data set, and so of the same fingerprint, by some of its splits or with fewer images to train on."""
        made = replace(self, splits=splits)
        made.__dict__.update(digests=self.digests, fingerprint=self.fingerprint)
        return made


def collection_of(name: str, said: str) -> str:
    """What the cache files a data set under: its name, as far as a file may have it, and a digest of what else is said
    of it: where it lies, or what it holds."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:40] or "images"
    return f"{plain}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def digests_of(images: Sequence[np.ndarray] | Images) -> np.ndarray:
    """(N,) str, SHA-256 of shape and pixels of each image (H, W, 3) uint8."""
    return np.array([digest_of(images[row]) for row in range(len(images))], dtype=np.str_)


def digest_of(pixels: np.ndarray) -> str:
    """SHA-256 of the shape and pixels of an image (H, W, 3) uint8, in hexadecimal digits."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
