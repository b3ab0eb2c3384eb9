"""The photos that a user names: files, folders, lists of names, names from standard input."""

from __future__ import annotations

import codecs
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from headstart.data.findings import counted
from headstart.data.tree import Tree
from headstart.errors import HeadstartError
from headstart.runtime.text import shown
from headstart.values import given, path

STANDARD_INPUT = "-"
LIST = "@"  # before the name of a file that lists names


@dataclass
class Photos:
    """paths: in the order given, those of a folder in natural order. aside: how many files of folders were left aside,
    by why. notices: of what gave no photo, a line each."""

    paths: list[Path] = field(default_factory=list)
    aside: Counter[str] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)


def photos_in(names: Iterable[str | PathLike[str]], follow_links: bool = False, results: Sequence[Path] = ()) -> Photos:
    """All photos that names stand for: a file is itself, there or not; a folder all below it that may be an image, see
    `Tree.walk`; `@FILE` the names in that file, and `-` those on standard input: one a line, or each ended by a zero
    byte, as `find -print0` gives them. results: files and folders that come of it; those in such a folder are left
    aside.

    Raises HeadstartError for a list that cannot be read, and where nothing was named.
    """
    found, asked = Photos(), 0
    for name in names:
        for each in _listed(name):
            asked += 1
            place = given("photos", each, path)
            if os.path.isdir(place):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
                _walk(place, follow_links, results, found)
            else:
                found.paths.append(place)
    if not asked:
        raise HeadstartError("no photos were named: name files, folders, @FILE with a list, or - for standard input")
    return found


def _listed(name: str | PathLike[str]) -> Sequence[str | PathLike[str]]:
    """The names that a name stands for."""
    if not isinstance(name, str) or not (name == STANDARD_INPUT or name.startswith(LIST)):
        return [name]
    try:
        lines = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name.removeprefix(LIST)).read_bytes()
    except OSError as error:
        said = error.strerror or error
        raise HeadstartError(f"the list {shown(name.removeprefix(LIST))} cannot be read: {said}") from None
    if lines.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        lines = lines.decode("utf-16", "replace").encode()
    lines = lines.removeprefix(codecs.BOM_UTF8)
    between = b"\0" if b"\0" in lines else b"\n"
    return [os.fsdecode(each) for line in lines.split(between) if (each := line if b"\0" in lines else line.strip())]


def _walk(folder: Path, follow_links: bool, results: Sequence[Path], found: Photos) -> None:
    tree = Tree(folder, follow_links)
    aside: Counter[str] = Counter()
    before = len(found.paths)
    top = Path(os.path.abspath(folder))  # noqa: PTH100 - a link stays one
    made = [Path(os.path.abspath(each)) for each in results]  # noqa: PTH100
    inside = [each for each in made if top in each.parents]
    try:
        for name, why in tree.walk():
            if why:
                aside[why] += 1
            elif any((top / name).is_relative_to(each) for each in inside):
                aside["written by this command"] += 1
            else:
                found.paths.append(folder / name)
    except HeadstartError as error:
        found.notices.append(str(error))
        return
    found.aside += aside
    if len(found.paths) == before:
        held = ", ".join(f"{counted(times, 'file')}: {why}" for why, times in aside.most_common())
        found.notices.append(f"{shown(folder)} holds no photos ({held or 'it is empty'})")
