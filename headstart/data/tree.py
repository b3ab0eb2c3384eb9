"""The folders of a user's images as they lie on disk: what is in each, and what is no image by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from natsort import natsorted

from headstart.errors import HeadstartError
from headstart.runtime.text import shown

# fmt: off
NOT_IMAGES = (
    ".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".pdf", ".ini", ".db", ".yaml", ".yml", ".toml",
    ".zip", ".tar", ".gz", ".rar", ".7z", ".py", ".ipynb", ".log", ".doc", ".docx", ".xls", ".xlsx",
    ".npy", ".npz", ".mat", ".pkl", ".h5", ".pt", ".pth", ".aae",
)
VIDEOS = (".mov", ".mp4", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".mts")  # of phones, or half of a Live Photo
# fmt: on
WITHOUT_ENDING = {"readme", "license", "licence", "copying", "notice", "makefile", "changelog", "sha256sums"}
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "lost+found"}  # beside those with a dot
OWN = ("request.json", "comparison.json")  # one of them lies in every folder that headstart itself has written

HIDDEN = "hidden and system files"
LINKS = "links, which are not followed"
LISTED = "links to a folder that is listed already"
UNLISTED = "folders that cannot be listed"
OTHER = "not images by their ending"
MOVING = "videos, such as those of Live Photos"
NEITHER = "neither files nor folders"
RESULTS = "results of headstart itself"


class Tree:
    """A folder and all below it. Paths are relative to `root`, "" for itself; each folder is read once.

    follow_links: whether a link is what it leads to; one to a folder that was listed before is not gone into again.
    """

    def __init__(self, root: Path, follow_links: bool = False):
        self.root, self.follow_links = root, follow_links
        self.unlisted: dict[str, str] = {}  # folder -> why
        self._read: dict[str, list[os.DirEntry[str]]] = {}

    def entries(self, path: str) -> list[os.DirEntry[str]]:
        """What lies in a folder, in natural order of names; nothing where it cannot be listed, which `unlisted` keeps.
        HeadstartError for the root."""
        if path not in self._read:
            try:
                with os.scandir(self.root / path) as entries:
                    self._read[path] = natsorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if not path:
                    raise HeadstartError(f"{shown(self.root)} cannot be listed: {error.strerror}") from None
                self._read[path] = []
                self.unlisted[path] = str(error.strerror)
        return self._read[path]

    def folders(self, path: str) -> list[str]:
        """The names of the folders in a folder that may hold images; no link that leads to it or above it."""
        found = [entry for entry in self.entries(path) if self.why_ignored(entry) is None and _is_folder(entry)]
        return [
            entry.name
            for entry in found
            if not (entry.is_symlink() and self._leads_up(path, entry.name)) and not self.is_own(join(path, entry.name))
        ]

    def linked(self, path: str) -> list[str]:
        """The names of the links in a folder that are not followed and lead to another folder, not above it."""
        if self.follow_links:
            return []
        links = [entry for entry in self.entries(path) if entry.is_symlink() and not is_hidden(entry.name)]
        return [each.name for each in links if _is_folder(each) and not self._leads_up(path, each.name)]

    def _leads_up(self, path: str, name: str) -> bool:
        """Whether a link in a folder leads to that folder or one above it."""
        here = (self.root / path).resolve()
        return (here / name).resolve() in (here, *here.parents)

    def images(self, path: str) -> list[str]:
        """The names of the files in a folder, not below it, that may be images."""
        return [
            entry.name
            for entry in self.entries(path)
            if self.why_ignored(entry) is None and _is_file(entry) and not is_other(entry.name)
        ]

    def is_own(self, path: str) -> bool:
        """Whether headstart wrote a folder, or all that is below it."""
        if {entry.name for entry in self.entries(path)} & set(OWN):
            return True
        shown_ones = [entry for entry in self.entries(path) if not is_hidden(entry.name)]
        if not shown_ones or not all(entry.is_dir(follow_symlinks=False) for entry in shown_ones):
            return False
        inner = (self.entries(join(path, entry.name)) for entry in shown_ones)
        return all({entry.name for entry in entries} & set(OWN) for entries in inner)

    def why_ignored(self, entry: os.DirEntry[str]) -> str | None:
        """Why an entry is left aside, whatever it holds; None where it is not."""
        if is_hidden(entry.name):
            return HIDDEN
        if entry.is_symlink() and not self.follow_links:
            return LINKS
        return None

    def walk(self) -> Iterator[tuple[str, str]]:
        """(path, why it is left aside, or "") of every file, and of every link that is not followed; the files of a
        folder before its folders, in natural order."""
        waiting, seen = [("", "")], set()
        while waiting:
            path, reason = waiting.pop()
            reason = reason or (RESULTS if self.is_own(path) else "")
            seen.add(os.path.realpath(self.root / path))
            inner = []
            if path in self.unlisted:
                yield path, UNLISTED
            for entry in self.entries(path):
                name, why = join(path, entry.name), reason or self.why_ignored(entry) or ""
                is_link = entry.is_symlink()
                if is_link and (reason or not self.follow_links):
                    yield name, why
                elif _is_folder(entry) and is_link and os.path.realpath(self.root / name) in seen:
                    yield name, LISTED
                elif _is_folder(entry):
                    inner.append((name, why))
                elif is_other(entry.name):
                    yield name, why or (MOVING if entry.name.lower().endswith(VIDEOS) else OTHER)
                else:
                    yield name, why or ("" if _is_file(entry) or is_link else NEITHER)  # a broken link: unreadable
            waiting += reversed(inner)


def join(*parts: str) -> str:
    """The path of a name in a folder, which may be ""."""
    return "/".join(part for part in parts if part)


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden or system file or folder."""
    return name.startswith(".") or name.lower() in SYSTEM


def is_other(name: str) -> bool:
    """Whether a file is no image by its name."""
    return name.lower().endswith((*NOT_IMAGES, *VIDEOS)) or name.lower() in WITHOUT_ENDING


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
