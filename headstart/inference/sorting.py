"""Photos sorted into a folder a class, as links or copies; nothing that is there is overwritten."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from headstart.inference.answers import UNLIKE, UNSURE, Answer
from headstart.runtime.console import say
from headstart.runtime.text import encodable, shown

UNREADABLE = "unreadable"


def sort_into(folder: Path, answers: Iterable[tuple[Path, Answer]], class_names: Sequence[str], copy: bool) -> None:
    """Put a link to each photo, or a `copy` of it, into the folder of its class below `folder`; what is in doubt into
    that of its doubt, what could not be read into UNREADABLE.

    Where links cannot be made, they are copies. Of several photos of one name, the later ones get a number; one that
    lies there from before is left as it is. Folders are made as they are needed.
    """
    places = _folders(class_names)
    taken: set[Path] = set()
    for photo, answer in answers:
        if answer.is_unreadable and not os.path.lexists(photo):
            continue
        name = UNREADABLE if answer.is_unreadable else answer.doubt or places[str(answer.label)]
        inside = folder / name
        inside.mkdir(parents=True, exist_ok=True)
        for place in _names(inside, photo):
            if place in taken:
                continue
            try:
                is_done = _is_there(place, photo) or _put(place, photo, copy)
            except OSError as error:
                if not answer.is_unreadable:
                    raise
                say(f"{shown(photo)} cannot be copied: {error.strerror or error}")
                break
            if is_done:
                taken.add(place)
                break


def _folders(class_names: Sequence[str]) -> dict[str, str]:
    """The folder of each class: its name where a folder may have that, and no other class or doubt has it."""
    found: dict[str, str] = {}
    taken = {UNSURE, UNREADABLE, UNLIKE}
    for name in class_names:
        plain = cut(shown(name).replace("/", "_").replace("\\", "_"), 100).strip(". ") or "_"
        folder = next(each for each in _numbered(plain) if each.casefold() not in taken)
        taken.add(folder.casefold())
        found[encodable(name)] = folder
    return found


def cut(name: str, size: int) -> str:
    """The beginning of a name, of so many bytes at most: file systems count them, and not letters."""
    return os.fsencode(name)[:size].decode("utf-8", "ignore")


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _names(folder: Path, photo: Path) -> Iterator[Path]:
    """What a photo may be called in a folder."""
    yield from (folder / f"{name}{photo.suffix}" for name in _numbered(photo.stem))


def _is_there(place: Path, photo: Path) -> bool:
    """Whether an earlier run put this photo there."""
    try:
        return place.samefile(photo) or (place.is_file() and filecmp.cmp(place, photo, shallow=False))
    except OSError:
        return False


def _put(place: Path, photo: Path, copy: bool) -> bool:
    """Whether there was room for it."""
    if not copy:
        try:
            place.symlink_to(Path(os.path.abspath(photo)))  # noqa: PTH100 - a link to a link stays one
            return True
        except FileExistsError:
            return False
        except OSError:  # a file system, or a user, that may have no links
            pass
    try:
        place.open("xb").close()
    except FileExistsError:
        return False
    temporary = place.with_name(f".{cut(place.name, 200)}.tmp")
    try:
        shutil.copy2(photo, temporary)
        temporary.replace(place)
    except BaseException:
        for each in (temporary, place):
            with suppress(OSError):
                each.unlink()
        raise
    return True
