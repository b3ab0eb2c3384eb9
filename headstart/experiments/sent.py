"""A data set as it travels to another process: its images are found by the file that has them, or come after it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.dataset import Dataset, Rows, digest_of
from headstart.runtime.device import kept_probes


@dataclass(frozen=True, eq=False)
class Sent:
    """A data set as it travels: without its pixels. dataset: with no image. path, shape, rows: the file that has the
    images on the machine that sends it, which may be there by the same path here; None where it is in memory. probes:
    what the sender chose by measuring."""

    dataset: Dataset
    path: str | None
    shape: tuple[int, ...]
    rows: np.ndarray
    probes: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, data: Dataset) -> Sent:
        """A data set, made ready to travel."""
        images = data.images
        base, rows = (images.base, images.rows) if isinstance(images, Rows) else (images, np.arange(len(data)))
        path = getattr(base, "filename", None)  # of a memory map
        bare = with_images(data, np.empty((0, *data.image_shape), np.uint8))
        return cls(bare, None if path is None else str(Path(path).absolute()), base.shape, rows, kept_probes())

    def by_path(self) -> Rows | None:
        """The images in the sender's file, where this process sees it; None where it does not, or another one."""
        if self.path is None:
            return None
        with suppress(OSError, ValueError):
            images = Rows(np.memmap(self.path, np.uint8, "r", shape=self.shape), self.rows)
            if all(digest_of(images[row]) == digest for row, digest in enumerate(self.dataset.digests)):
                return images
        return None


def with_images(data: Dataset, images: np.ndarray | Rows) -> Dataset:
    """The same data set with these images: what else it knows of them stays."""
    made = replace(data, images=images)
    made.__dict__.update(digests=data.digests, fingerprint=data.fingerprint)
    return made
