"""Where headstart writes: whether it can is found out before anything is read, and a file gets there whole or not at
all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from headstart.errors import MachineError

TEMPORARY = ".tmp"  # ends the name of a file that is being written
PROBE_BYTES = 2**20  # that are written to find out: less than the smallest run takes


def cache_place() -> Path:
    """$HEADSTART_CACHE, or the path that the operating system sets aside for caches; a temporary one where the user has
    no home."""
    place = Path(os.environ.get("HEADSTART_CACHE") or user_cache_path("headstart"))
    if place.parts[:1] == ("~",):  # as a variable's value may have it; and what is left of it where there is no home
        place = Path(os.path.expanduser(place))  # noqa: PTH111 - Path.expanduser raises where there is no home
    return Path(tempfile.gettempdir(), "headstart-cache") if place.parts[:1] == ("~",) else place


def refuse_unwritable(place: Path, instead: str) -> None:
    """Raise HeadstartError where nothing can be written at a path, which need not be there yet: a file in its way, no
    rights, no room. instead: what to do about it. Nothing is left behind."""
    if reason := why_unwritable(place):
        raise MachineError(f"{place} cannot be written, {reason}: {instead}")


def why_unwritable(place: Path) -> str | None:
    """Why nothing can be written at a path, or in it where it is a folder; None where it can."""
    try:
        nearest = _nearest(place)
        folder = place.parent if nearest == place and not place.is_dir() else nearest
        if not folder.is_dir():
            return f"{folder} is no folder"
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        return str(getattr(error, "strerror", None) or error)
    return None


def refuse_full(folder: Path, wanted_bytes: float, what: str) -> None:
    """Raise MachineError where the disk of a folder, which need not be there yet, has less room than `what` is going to
    take."""
    free = shutil.disk_usage(_nearest(folder)).free
    if free < wanted_bytes:
        raise MachineError(
            f"{folder} has {free / 1e6:,.0f} MB free and {what} takes about {wanted_bytes / 1e6:,.0f} MB: make room"
        )


def _nearest(place: Path) -> Path:
    """The deepest part of a path that is there."""
    while True:
        try:
            os.lstat(place)
            return place
        except (FileNotFoundError, NotADirectoryError):
            if place == place.parent:
                raise  # the folder that we were started in is gone
            place = place.parent


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file, flush it to disk and rename it to `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")  # two may write the same
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # on a full disk it would take what is needed to go on
        raise
