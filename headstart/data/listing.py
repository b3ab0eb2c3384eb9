"""Which files a user's images are, and what they are labelled: from a folder's names or a CSV, before any is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from natsort import natsorted

from headstart.data.groups import ADVICE, by_pattern, refuse_crossing
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
NOT_IMAGES = (
    ".txt",
    ".md",
    ".csv",
    ".json",
    ".xml",
    ".html",
    ".pdf",
    ".zip",
    ".py",
    ".ini",
    ".db",
    ".yaml",
    ".yml",
    ".aae",
)
VIDEOS = (".mov", ".mp4", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".mts")  # of phones, or half of a Live Photo
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # beside all whose name begins with a dot


@dataclass(frozen=True)
class Listing:
    """Files and their labels.

    root: the folder that `paths` (N) are relative to; names that are not UTF-8 hold surrogates, as `os.fsdecode` gives
    them. labels: (N,) int64, indices into `class_names`. splits: (N,) "train", "val", "test", or "" where none is said.
    ignored: how many files were left aside, by why. groups: (N,) str, equal for files that the user says belong
    together; None where nothing was said.
    """

    root: Path
    paths: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    class_names: tuple[str, ...]
    ignored: Mapping[str, int]
    groups: np.ndarray | None = None


def scan(place: Path, group: str | None = None) -> Listing:
    """List the labelled files of a folder or a CSV.

    A folder holds <class>/**, or {train, val | valid | validation, test}/<class>/**. Classes are in natural order
    ("2" before "10"), and mapped by name across splits. Hidden and system files and those that cannot be images by
    their ending are left aside and counted; links are not followed. A file found under two paths (a hard link) counts
    once. A CSV: see `read_csv`. group: a column of the CSV, or a pattern (`by_pattern`), that says which files belong
    together. Raises HeadstartError where there are not two classes with files in each, where splits have different
    classes, and where a group is in two of them.
    """
    if place.is_dir():
        listing = _scan_folder(place)
    elif place.is_file():
        listing = read_csv(place, group)
    else:
        raise HeadstartError(f"{shown(place)}: no such folder or file")
    _refuse_unusable(listing, place)
    if group is not None:
        groups = by_pattern(group, listing.paths) if listing.groups is None else listing.groups
        refuse_crossing(groups, listing.splits, listing.paths)
        listing = replace(listing, groups=groups)
    return listing


def _scan_folder(root: Path) -> Listing:
    ignored: Counter[str] = Counter()
    folders = _folders(root, ignored)
    split_of = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    if "train" in split_of.values():
        if others := [name for name in folders if name not in split_of]:
            raise HeadstartError(
                f"{shown(root)} holds {', '.join(map(shown, split_of))} and also {', '.join(map(shown, others))}: "
                "keep splits and classes apart, photos/train/<class>/ or photos/<class>/"
            )
        if len(set(split_of.values())) < len(split_of):
            raise HeadstartError(f"{shown(root)} holds one split twice: {', '.join(map(shown, split_of))}")
        places = {
            (split, name): f"{folder}/{name}"
            for folder, split in split_of.items()
            for name in _folders(root / folder, ignored)
        }
    else:
        places = {("", name): name for name in folders}
    _refuse_nested_splits(root, places)
    found = [(split, name, path) for (split, name), folder in places.items() for path in _files(root, folder, ignored)]
    return _listing(root, found, natsorted({name for _, name in places}), ignored)


def _folders(root: Path, ignored: Counter[str]) -> list[str]:
    """The names of the folders of `root`, in natural order; what else lies there is counted."""
    names = []
    for entry in _entries(root):
        if reason := _why_ignored(entry):
            ignored[reason] += 1
        elif entry.is_dir(follow_symlinks=False):
            names.append(entry.name)
        else:
            ignored["files beside the class folders"] += 1
    return natsorted(names)


def _files(root: Path, folder: str, ignored: Counter[str]) -> Iterator[str]:
    """Paths, relative to `root`, of all files below its `folder`, in natural order of names."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        inner = []
        for entry in natsorted(_entries(root / here), key=lambda entry: entry.name):
            if reason := _why_ignored(entry):
                ignored[reason] += 1
            elif entry.is_dir(follow_symlinks=False):
                inner.append(f"{here}/{entry.name}")
            elif entry.name.lower().endswith(VIDEOS):
                ignored["videos, such as those of Live Photos"] += 1
            elif entry.name.lower().endswith(NOT_IMAGES):
                ignored["not images by their ending"] += 1
            elif entry.is_file(follow_symlinks=False):
                yield f"{here}/{entry.name}"
            else:
                ignored["neither files nor folders"] += 1
        waiting += reversed(inner)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise HeadstartError(f"{shown(folder)} cannot be listed: {error.strerror}") from None


def _why_ignored(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        return "links, which are not followed"
    if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
        return "hidden and system files"
    return None


def read_csv(path: Path, group: str | None = None) -> Listing:
    """List the files of a CSV with the columns path, label and, if wanted, split; paths are relative to its folder.

    group: the column that says which belong together; a text with a bracket that no column has is left to `by_pattern`.
    Raises HeadstartError for missing columns, empty cells, unknown splits and one file with two labels, splits or
    groups. Files that do not exist are found later, with all that cannot be read.
    """
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", encoding_errors="surrogateescape"
        )
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise HeadstartError(f"{shown(path)} is no CSV that can be read: {' '.join(str(error).split())}") from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    if missing := [name for name in ("path", "label") if name not in table]:
        raise HeadstartError(
            f"{shown(path)} lacks the column {missing[0]!r}: it needs path,label and may have split; "
            f"it has {', '.join(map(shown, table.columns))}"
        )
    column = None if group is None else _column_of_groups(table, group, path)
    if "split" not in table:
        table["split"] = ""
    table["group"] = "" if column is None else table[column]
    _refuse_cells(table, column, path)
    splits = [SPLITS.get(split.strip().lower(), "") for split in table["split"]]
    if "" in splits and any(splits):
        raise HeadstartError(f"{shown(path)}, line {splits.index('') + 2}: split is empty, but other lines have one")
    files = [os.path.normpath(file) for file in table["path"]]
    of_file: dict[str, tuple[str, str, str]] = {}
    for file, *what in zip(files, splits, table["label"], table["group"], strict=True):
        if of_file.setdefault(file, tuple(what)) != tuple(what):
            raise HeadstartError(f"{shown(path)}: {shown(file)} has two labels, splits or groups")
    found = [(split, label, file) for file, (split, label, _) in of_file.items()]
    listing = _listing(path.parent, found, natsorted(set(table["label"])), Counter())
    if column is None:
        return listing
    return replace(listing, groups=np.array([of_file[file][2] for file in listing.paths], dtype=np.str_))


def _refuse_cells(table: pd.DataFrame, column: str | None, path: Path) -> None:
    """Raise HeadstartError for the first cell that is empty, or no split; column: the one that names groups."""
    said = table[["path", "label", "split", "group"]]
    for row, (file, label, split, name) in enumerate(said.itertuples(index=False), start=2):
        if not file or not label:
            raise HeadstartError(f"{shown(path)}, line {row}: path or label is empty")
        if split and split.strip().lower() not in SPLITS:
            raise HeadstartError(
                f"{shown(path)}, line {row}: split {shown(split)!r} is none of {', '.join(SPLITS)}, or empty"
            )
        if column is not None and not name:
            raise HeadstartError(f"{shown(path)}, line {row}: {shown(column)} is empty: every image needs a group")


def _column_of_groups(table: pd.DataFrame, group: str, path: Path) -> str | None:
    """The column of that name; None where it can only be a pattern."""
    if (column := group.strip().lower()) in table:
        return column
    if "(" in group:
        return None
    raise HeadstartError(
        f"{shown(path)} has no column {shown(group)!r}: it has {', '.join(map(shown, table.columns))}; {ADVICE}"
    )


def _listing(
    root: Path, found: Sequence[tuple[str, str, str]], class_names: Sequence[str], ignored: Counter[str]
) -> Listing:
    """Keep each file once, by its inode; found: (split, class, path relative to root) a file."""
    met: dict[tuple[int, int] | str, tuple[str, str, str]] = {}
    for split, name, path in found:
        try:
            status = (root / path).stat()
            identity: tuple[int, int] | str = (status.st_dev, status.st_ino)
        except (OSError, ValueError):
            identity = path  # decoding will say what is the matter with it
        first = met.setdefault(identity, (split, name, path))
        if first[:2] != (split, name):
            raise HeadstartError(
                f"{shown(root / path)} and {shown(root / first[2])} are one file, under two labels or splits"
            )
        if first[2] != path:
            ignored["second paths to a file"] += 1
    number = {name: label for label, name in enumerate(class_names)}
    splits, names, paths = zip(*met.values(), strict=True) if met else ((), (), ())
    return Listing(
        root,
        paths,
        np.array([number[name] for name in names], dtype=np.int64),
        np.array(splits, dtype="<U5"),
        tuple(class_names),
        dict(ignored),
    )


def _refuse_nested_splits(root: Path, places: Mapping[tuple[str, str], str]) -> None:
    """A class folder that itself holds train/ is no class: the parent of the data was given."""
    for folder in places.values():
        if "train" in {name.lower() for name in _folders(root / folder, Counter())}:
            raise HeadstartError(f"{shown(root / folder)} holds train/ itself: pass that folder, not one above it")


def _refuse_unusable(listing: Listing, place: Path) -> None:
    names, labels, splits = listing.class_names, listing.labels, listing.splits
    if len(names) < 2:
        found = f"one class, {shown(names[0])!r}" if names else "no class folders"
        raise HeadstartError(
            f"{shown(place)}: {found} found; it must hold a folder of images for each of two or more classes"
        )
    for split in ("", "train", "val", "test"):
        here = labels[splits == split]
        if not len(here):
            continue
        missing = sorted(set(range(len(names))) - set(here.tolist()))
        if missing:
            where = f"{shown(place)}, {split}" if split else shown(place)
            raise HeadstartError(
                f"{where}: class {shown(names[missing[0]])!r} has no file"
                + (", but another split has: every split needs every class" if split else ": add images, or remove it")
            )
