"""Where downloads and activations are kept between runs, and how files get there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from headstart.errors import HeadstartError

if TYPE_CHECKING:
    import pandas as pd

LEFT_OVER_SECONDS = 24 * 3600  # a temporary folder that nobody has touched for so long is nobody's


def cache_dir() -> Path:
    """$HEADSTART_CACHE, or the place that the operating system sets aside for caches."""
    return Path(os.environ.get("HEADSTART_CACHE") or user_cache_path("headstart"))


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A new folder on the same disk as `beside`, so that a file made in it can be renamed to it; gone afterwards."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}-", dir=beside.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_room(folder: Path, limit_bytes: float, wanted_bytes: float) -> None:
    """Clear away the entries of `folder` that were longest unused, until it has `wanted_bytes` left of its limit, and
    what a killed process left half made. An entry was last used when it was last modified.

    Raises HeadstartError when the disk is too full for them all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {path: sum(file.stat().st_size for file in path.glob("*")) for path in folder.iterdir()}
    used = {path: path.stat().st_mtime for path in sizes}
    for path in sorted(sizes, key=lambda path: used[path]):
        is_left_over = path.name.startswith(".") and time.time() - used[path] > LEFT_OVER_SECONDS
        if is_left_over or (sum(sizes.values()) + wanted_bytes > limit_bytes and not path.name.startswith(".")):
            shutil.rmtree(path, ignore_errors=True)
            del sizes[path]
    free = shutil.disk_usage(folder).free
    if free < wanted_bytes:
        raise HeadstartError(
            f"{folder} has {free / 1e9:.1f} GB free and {wanted_bytes / 1e9:.1f} GB are to go there: "
            "make room, name another place in HEADSTART_CACHE, or take a smaller --image-size"
        )


def kept_table(kind: str, key: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table that `make` gives, kept in the cache's folder `kind` under a key of all that it is made from."""
    import pandas as pd  # half a second: only for those who keep tables

    path = cache_dir() / kind / f"{key}.parquet"
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):  # not there, or damaged: pyarrow's errors are ValueErrors
        table = make()
    with temporary_folder(path) as folder:
        table.to_parquet(folder / path.name)
        (folder / path.name).replace(path)
    return table
