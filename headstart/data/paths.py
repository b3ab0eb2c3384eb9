"""How the paths that a table gives are read, so that its files are found: as they are written, else as another machine
or another folder would have them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from headstart.data.findings import EXAMPLES, Finding, counted
from headstart.data.tree import is_hidden, is_other
from headstart.runtime.text import shown

SAMPLE = 100  # files by which a reading is chosen
NEARLY_ALL = 0.9  # of them that must be found for it to be taken without trying others
DEEPEST = 8  # leading folders that are left out
FOLDERS = 50  # below that of the table, that are tried
TRIED = (
    "as written; without blanks, file://, drive, ~ and %-codes; with / for \\; in other case, Unicode form and with an "
    "ending; below the table's folder, the working directory and each folder beside the table; without leading folders"
)


@dataclass(frozen=True)
class Reading:
    """Where paths begin. base: the folder. drop: how many leading folders of a path are left out. said: in words."""

    base: Path
    drop: int
    said: str


@dataclass
class Located:
    """The files of a table. root: the folder that `paths` are relative to, each None where the file is missing.
    findings: how they were read, which are missing."""

    root: Path
    paths: list[str | None]
    findings: list[Finding] = field(default_factory=list)


def locate(table: Path, files: Sequence[str], is_utf8: bool = True) -> Located:
    """Find the files that a table names, by the one reading that finds nearly all of them, or the most."""
    written = Reading(table.parent, 0, "")
    finder = _Finder(is_utf8)
    if all(_is_file(written.base / file) for file in files):
        return Located(table.parent, [os.path.normpath(file) for file in files])
    chosen = _chosen(finder, written, files)
    paths: list[str | None] = []
    missing, ways = [], Counter[str]()
    for file in files:
        path, way = finder.find(file, chosen)
        paths.append(path and os.path.normpath(path))
        if path is None:
            missing.append(shown(file))
        else:
            ways[way] += 1
    return Located(chosen.base, paths, list(_said(table, chosen, ways, missing, len(files))))


def _said(table: Path, chosen: Reading, ways: Counter[str], missing: list[str], total: int) -> Iterator[Finding]:
    name = shown(table.name)
    how = [chosen.said, *(f"{way} ({times:,} of them)" for way, times in ways.items() if way)]
    if guessed := "; ".join(filter(None, how)):
        found = total - len(missing)
        said = f"the paths of {name} are read {guessed}: {found:,} of {counted(total, 'file')} found"
        yield Finding("paths read otherwise", found, said, is_fault=False)
    if missing:
        said = f"{len(missing):,} of {counted(total, 'file')} of {name} are not there, such as {missing[0]}"
        if re.match(r"\w{2,}://", missing[0]) and not missing[0].lower().startswith("file:"):
            said += " (an address on the internet: nothing is fetched from there)"
        yield Finding("missing files", len(missing), f"{said}; tried: {TRIED}", tuple(missing[:EXAMPLES]))


def _chosen(finder: _Finder, written: Reading, files: Sequence[str]) -> Reading:
    """The first reading that finds nearly all of a sample of files, each another one; else the one that finds most."""
    different = sorted(set(files))
    sample = [different[i] for i in np.unique(np.linspace(0, len(different) - 1, SAMPLE).astype(int))]
    best, most = written, 0
    for reading in _readings(written.base):
        found = len({path for file in sample if (path := finder.find(file, reading)[0])})
        if found > most:
            best, most = reading, found
        if most >= NEARLY_ALL * len(sample):
            break
    return best


def _readings(folder: Path) -> Iterator[Reading]:
    """All that are tried, the most obvious first."""
    below = sorted(path for path in _listed(folder) if path.is_dir() and not is_hidden(path.name))[:FOLDERS]
    bases = [(folder, ""), (Path.cwd(), "below the working directory")]
    bases += [(path, f"below {shown(path.name)}/") for path in below]
    for drop in range(DEEPEST + 1):
        without = f"without {counted(drop, 'leading folder')}" if drop else ""
        for base, said in bases:
            yield Reading(base, drop, " ".join(filter(None, (said, without))))


class _Finder:
    """Finds the file of a path that is written in some way; what folders hold is read once."""

    def __init__(self, is_utf8: bool):
        self.is_utf8 = is_utf8
        self.names: dict[Path, defaultdict[str, list[str]]] = {}

    def find(self, file: str, reading: Reading) -> tuple[str | None, str]:
        """The path, relative to the reading's base, of a file that is there, and how it was read, in words; None where
        there is none."""
        for spelling, way in self.spellings(file):
            parts = Path(spelling).parts[reading.drop :]
            path = str(Path(*parts)) if parts else ""
            if not path or "\0" in path:
                continue
            if _is_file(reading.base / path):
                return path, way
            if near := self.near(reading.base / path):
                return str(Path(path).with_name(near)), way or "in another case, or with an ending"
        return None, ""

    def spellings(self, file: str) -> Iterator[tuple[str, str]]:
        """What may be meant by a path, each with what was done to it, one thing after the other."""
        yield file, ""
        steps = (
            ("without blanks around", lambda text: text.strip()),
            ("in Windows-1252", self._windows),
            ("without file://", lambda text: re.sub(r"^file:(//(localhost)?)?(?=/)", "", text, flags=re.IGNORECASE)),
            ("with / for \\", lambda text: text.replace("\\", "/")),
            ("without a drive", lambda text: re.sub(r"^/?[A-Za-z]:(?=/)", "", text)),
            ("with ~ as the home folder", os.path.expanduser),
            ("with %-codes decoded", lambda text: unquote(text, errors="surrogateescape")),
            ("in another Unicode form", lambda text: unicodedata.normalize("NFC", text)),
            ("in another Unicode form", lambda text: unicodedata.normalize("NFD", text)),
        )
        ways: list[str] = []
        for way, step in steps:
            if (changed := step(file)) != file:
                file, ways = changed, [*ways, way]
                yield file, ", ".join(dict.fromkeys(ways))

    def _windows(self, text: str) -> str:
        if self.is_utf8:
            return text
        return text.encode("utf-8", "surrogateescape").decode("cp1252", "backslashreplace")

    def near(self, path: Path) -> str | None:
        """The one name beside a path that differs from its own by case, or by an ending that it lacks."""
        if path.parent not in self.names:
            names = [each.name for each in _listed(path.parent) if not is_hidden(each.name) and not is_other(each.name)]
            known = self.names[path.parent] = defaultdict(list)
            for name in names:
                for key in {name.casefold(), Path(name).stem.casefold()}:
                    known[key].append(name)
        found = self.names[path.parent].get(path.name.casefold(), [])
        return found[0] if len(found) == 1 and (path.parent / found[0]).is_file() else None


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  (a Path raises for names that are too long)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
