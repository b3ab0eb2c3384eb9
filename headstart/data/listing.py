"""Which files a user's images are, and what they are labelled: from a folder's names or a CSV, before any is opened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from natsort import natsorted

from headstart.data.dataset import PARTS
from headstart.data.findings import EXAMPLES, Finding, counted, some
from headstart.data.groups import by_pattern, refuse_crossing
from headstart.data.labels import classes_of, split_named
from headstart.data.layout import recognise
from headstart.data.paths import locate
from headstart.data.table import Table, read_table
from headstart.data.tree import LINKS, Tree, is_hidden
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

BESIDE = "files beside the class folders"
NO_LABEL, MISSING = "no label", "no such file"
TWICE = "second paths to a file"


@dataclass(frozen=True)
class File:
    """A file as a folder or table has it: split or "", the spelling of its label, its path relative to the root, and
    its group, "" where no column says it."""

    split: str
    label: str
    path: str
    group: str = ""


@dataclass(frozen=True)
class Listing:
    """Files and their labels.

    root: the folder that `paths` (N) are relative to; names that are not UTF-8 hold surrogates, as `os.fsdecode` gives
    them. labels: (N,) int64, indices into `class_names`. splits: (N,) "train", "val", "test", or "" where none is said.
    ignored: how many files were left aside, by why. left_out: file -> why, of those that should have been images: no
    label, or no such file. without: class -> why it has no file. said: where the labels are from, in words. findings:
    what was guessed, and what is wrong. groups: (N,) str, equal for files that the user says belong together; None
    where nothing was said. again: further paths to files that are listed, each with the place of the first in `paths`;
    their labels are class names.
    """

    root: Path
    paths: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    class_names: tuple[str, ...]
    ignored: Mapping[str, int]
    left_out: Mapping[str, str]
    without: Mapping[str, str]
    said: str
    findings: tuple[Finding, ...]
    groups: np.ndarray | None = None
    again: tuple[tuple[File, int], ...] = ()


def scan(place: Path, group: str | None = None, follow_links: bool = False) -> Listing:
    """List the labelled files of a folder or a CSV.

    A folder: see `layout.recognise`. Classes are in natural order ("2" before "10"), and mapped by name across splits.
    Hidden and system files, those that cannot be images by their ending and what headstart itself wrote are left aside
    and counted; links are not followed unless asked. A CSV: see `table.read_table` and `paths.locate`. A file that is
    there twice (a hard link) counts once. group: a column of the CSV, or a pattern (`by_pattern`), that says which
    files belong together. Raises HeadstartError where there is no layout of classes, or no table, and where a group is
    in two splits.
    """
    if place.is_dir():
        listing = _scan_folder(Tree(place, follow_links))
    elif place.is_file():
        listing = _scan_table(place, group)
    else:
        raise HeadstartError(f"{shown(place)}: no such folder or file")
    if group is None or not listing.paths:
        return listing
    groups = by_pattern(group, listing.paths) if listing.groups is None else listing.groups
    refuse_crossing(groups, listing.splits, listing.paths)
    return replace(listing, groups=groups)


def _scan_folder(tree: Tree) -> Listing:
    layout = recognise(tree)
    class_of = {folder: key for key, folder in layout.places.items()}
    found, ignored = [], Counter[str]()
    aside: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)  # spelling -> what is left aside of it, and why
    for path, why in tree.walk():
        key = _owner(path, class_of)
        if why or key is None:
            ignored[why or BESIDE] += 1
            if key is not None:
                aside[key[1]].append((path, why))
        else:
            found.append(File(*key, path))
    classes, findings = classes_of(natsorted({label for _, label in layout.places}))
    unlisted = {path: why for path, why in tree.unlisted.items() if not any(map(is_hidden, path.split("/")))}
    if closed := [f"{shown(path)}: {why}" for path, why in unlisted.items()]:
        said = f"{counted(len(closed), 'folder')} cannot be listed: {some(closed)}"
        findings.append(Finding("unlisted folders", len(closed), said, tuple(closed[:EXAMPLES])))
    of_class: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for label, name in classes.items():
        of_class[name] += aside[label]
    why_empty = {name: _why_empty(of_class[name]) for name in classes.values()}
    return _listing(tree.root, found, classes, ignored, why_empty, layout.said, [*layout.findings, *findings], {})


def _owner(path: str, class_of: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """The split and class of the folder that a path lies in, or that it is (a link in place of a class folder)."""
    while path:
        if path in class_of:
            return class_of[path]
        path = path.rpartition("/")[0]
    return None


def _why_empty(aside: Sequence[tuple[str, str]]) -> str:
    """Why a class has no file, by what was left aside of it: (path, why)."""
    if not aside:
        return "its folder is empty; add images, or remove it"
    [(reason, times)] = Counter(why for _, why in aside).most_common(1)
    if reason == LINKS:
        return f"all there is of it is {counted(times, 'link')}, not followed; give --follow-links"
    example = next(path for path, why in aside if why == reason)
    return f"{counted(times, 'file')}, {reason}, such as {shown(example)}; add images, or remove its folder"


def _scan_table(path: Path, group: str | None) -> Listing:
    table = read_table(path, group)
    name = shown(path.name)
    findings = [Finding("table", len(table.files), f"{name} is {note}", is_fault=False) for note in table.notes]
    if table.unused:
        said = f"columns of {name} that are not used: {some(table.unused, 8)}"
        findings.append(Finding("columns not used", len(table.unused), said, is_fault=False))
    classes, of_labels = classes_of(dict.fromkeys(table.labels))
    rows = [row for row, file in enumerate(table.files) if file.strip()]
    left_out = {
        f"line {table.lines[row]}": "no path" for row in range(len(table.files)) if not table.files[row].strip()
    }
    located = locate(path, [table.files[row] for row in rows], table.is_utf8)
    splits, of_splits = _splits(table, rows)
    found = []
    for split, row, file in zip(splits, rows, located.paths, strict=True):
        if file is None:
            left_out[f"{shown(table.files[row])} (line {table.lines[row]})"] = MISSING
        else:
            found.append(File(split, table.labels[row], file, "" if table.groups is None else table.groups[row]))
    why_empty = dict.fromkeys(classes.values(), "no file that is there has this label")
    said = f"the column {table.columns['label']!r} of {name}"
    findings += [*located.findings, *of_labels, *of_splits]
    return _listing(located.root, found, classes, Counter(), why_empty, said, findings, left_out)


def _splits(table: Table, rows: Sequence[int]) -> tuple[list[str], list[Finding]]:
    """The split of each of these rows, and what is wrong with them."""
    found, unknown = [], []
    for row in rows:
        said = table.splits[row]
        split = said if said in PARTS else split_named(said) or ""
        found.append(split)
        if said and not split:
            unknown.append(f"line {table.lines[row]}: {shown(said)}")
    findings = []
    if unknown:
        said = f"{counted(len(unknown), 'split')} that are none of train, val and test, such as {unknown[0]!r}"
        findings.append(Finding("unknown splits", len(unknown), said, tuple(unknown[:EXAMPLES]), stops=True))
    empty = [f"line {table.lines[row]}" for row in rows if not table.splits[row]]
    if any(found) and empty:
        said = f"split is empty in {counted(len(empty), 'row')}, such as {empty[0]}, but others have one"
        findings.append(Finding("empty splits", len(empty), said, tuple(empty[:EXAMPLES]), stops=True))
    return found, findings


def _listing(
    root: Path,
    found: Sequence[File],
    classes: Mapping[str, str],
    ignored: Counter[str],
    why_empty: Mapping[str, str],
    said: str,
    findings: Sequence[Finding],
    left_out: Mapping[str, str],
) -> Listing:
    """Put together what was found; classes: spelling -> class name."""
    kept, again, unlabelled, twice = _kept(root, found, classes)
    if repeated := len(found) - len(kept) - len(unlabelled):
        ignored[TWICE] += repeated
    if twice:
        said_of = f"{counted(len(twice), 'file')} under two labels, splits or groups, such as {twice[0]}"
        findings = [*findings, Finding("two labels", len(twice), said_of, tuple(twice[:EXAMPLES]), stops=True)]
    if unlabelled:
        said_of = f"{counted(len(unlabelled), 'file')} without a label (empty, or nan), left out"
        findings = [*findings, Finding("no label", len(unlabelled), said_of, (*unlabelled,)[:EXAMPLES])]
    names = natsorted({*classes.values()} - {""})
    number = {name: label for label, name in enumerate(names)}
    splits, labels, paths, groups = zip(*map(astuple, kept), strict=True) if kept else ((), (), (), ())
    empty = {*names} - {*labels}
    return Listing(
        root,
        paths,
        np.array([number[name] for name in labels], dtype=np.int64),
        np.array(splits, dtype="<U5"),
        tuple(names),
        dict(ignored),
        {**left_out, **unlabelled},
        {name: why_empty[name] for name in names if name in empty},
        said,
        tuple(findings),
        np.array(groups, dtype=np.str_) if any(groups) else None,
        tuple(again),
    )


def _kept(
    root: Path, found: Sequence[File], classes: Mapping[str, str]
) -> tuple[list[File], list[tuple[File, int]], dict[str, str], list[str]]:
    """Each file once, by its inode; its further paths, with the place of the first; path -> why, of those without a
    label; and what is said of files that have two. Labels are class names."""
    kept: list[File] = []
    places: dict[tuple[int, int] | Path, int] = {}
    again, twice = [], []
    unlabelled: dict[str, str] = {}
    for file in found:
        if not (name := classes[file.label]):
            unlabelled[shown(file.path)] = f"{NO_LABEL}: {shown(file.label)!r}"
            continue
        named = replace(file, label=name)
        place = places.setdefault(_identity(root / file.path), len(kept))
        if place == len(kept):
            kept.append(named)
            continue
        first = kept[place]
        again.append((named, place))
        if replace(first, path=file.path) != named:
            path = "" if first.path == file.path else f"as {shown(first.path)} "
            both = [" ".join(filter(None, (x.split, shown(x.label), shown(x.group)))) for x in (named, first)]
            twice.append(f"{shown(file.path)}: {both[0]}, and {path}{both[1]}")
    return kept, again, unlabelled, twice


def _identity(path: Path) -> tuple[int, int] | Path:
    """What tells a file from all others, under any name; decoding will say what is the matter where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return path
    return status.st_dev, status.st_ino
