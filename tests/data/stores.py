"""Stores opened and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headstart.data.listing import scan
from headstart.data.store import Store, open_store
from headstart.options import Options


def opened(folder: Path, **options) -> Store:
    return open_store(scan(folder), "photos", **{"fit": Options().fit, **options})


def same(one: Store, other: Store) -> bool:
    return np.array_equal(one.images[:], other.images[:]) and one.files.equals(other.files)
