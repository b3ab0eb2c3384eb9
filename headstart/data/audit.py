"""What is wrong with a data set, or odd about it, before anything is trained on it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.data.dataset import Dataset, Subset
from headstart.data.duplicates import find_duplicates, near_duplicates, rows_of, together
from headstart.data.findings import EXAMPLES, Finding, UnusableDataError, counted
from headstart.data.groups import guessed
from headstart.data.load import load
from headstart.data.summary import summary, wrapped
from headstart.data.traits import contrast_of
from headstart.options import CROP, LETTERBOX, STRETCH
from headstart.runtime.text import shown

IMBALANCE = 3.0  # times as many training images of one class as of another
FEW = 10  # training images of a class
LONG = 3.0  # times as long as wide
OF_LONG = {
    CROP: "most of them is cut off",
    STRETCH: "they are much distorted",
    LETTERBOX: "much of their square is border",
}
FLAT = 24  # levels of 255 that an image needs between dark and light
TINY = 32  # pixels of the long side
CHUNK = 256  # images looked at together


@dataclass(frozen=True)
class Audit:
    """All findings on one data set.

    leaked: (N,) bool, of the images that are tested, those with a duplicate, exact or near, in train or val of a split
    that tests them. units: (N,) int64, equal for those that count as one (`duplicates.together`). files: "val" and
    "test" -> the path of each of their images, where they are files; of several splits, only of those that are tested.
    summary: what was taken for the data, in lines.
    """

    dataset: str
    fingerprint: str
    findings: tuple[Finding, ...]
    leaked: np.ndarray
    units: np.ndarray
    files: dict[str, list[str]]
    summary: tuple[str, ...] = ()

    @property
    def faults(self) -> list[Finding]:
        """Those that a person should look at."""
        return [finding for finding in self.findings if finding.is_fault]

    def lines(self, examples: int, width: int = sys.maxsize) -> list[str]:
        """What a person reads: a line a finding, faults first and causes before consequences, each with a few examples;
        marked !! where nothing can be trained before it is put right, ! where a person should look. width: in
        characters, of what is said; a path is never broken."""
        ordered = sorted(self.findings, key=lambda finding: not finding.is_fault)
        return [
            wrapped(f"  {_mark(finding)} {finding.said}", width)
            + "".join(f"\n{wrapped(f'      {example}', width, 8)}" for example in finding.examples[:examples])
            for finding in ordered
        ]

    def as_json(self) -> dict[str, Any]:
        """What `headstart check --json` writes and a run folder keeps."""
        return {
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "summary": list(self.summary),
            "findings": [asdict(finding) for finding in self.findings],
            "leaked_test_images": np.flatnonzero(self.leaked).tolist(),
            "copies_within_test": _of_several(self.units),
            "files": self.files,
        }


def check(data: str | Path, **options: Any) -> Audit:
    """Load a data set (see `load`, which takes the options), however many of its files are bad, and audit it; where it
    cannot be split, what there is of it. Raises HeadstartError where nothing can be taken for classes."""
    try:
        return audit(load(data, max_bad=1.0, **options))
    except UnusableDataError as error:
        if error.dataset is not None:
            return audit(error.dataset)
        return Audit(error.name, "", error.findings, np.zeros(0, dtype=bool), np.arange(0), {})


def audit(dataset: Dataset) -> Audit:
    """Look a data set over: unreadable files, duplicates, labels that disagree, imbalance, odd images."""
    is_one_split = len(dataset.splits) == 1
    seen = dataset if is_one_split else dataset.whole
    pairs = find_duplicates(seen)
    rows, tested = rows_of(seen, pairs), dataset.tested
    findings = (
        *dataset.found,
        *_duplicates(seen, pairs, is_one_split),
        *_alike(seen),
        *_groups(dataset),
        *_balance(seen),
        *_odd(seen),
        *_flat(seen),
        *_told(seen),
    )
    parts = {"val": dataset.val, "test": tested} if is_one_split else {"test": tested}
    files = {name: part.files["path"].tolist() for name, part in parts.items() if part.files is not None}
    units = together(dataset, rows)[tested.rows]
    leaked, said = leaks(dataset, rows)[tested.rows], tuple(summary(dataset))
    return Audit(dataset.name, dataset.fingerprint, findings, leaked, units, files, said)


def leaks(dataset: Dataset, pairs: np.ndarray) -> np.ndarray:
    """(N,) bool, which images are tested by a split that has a duplicate of them in train or val.

    pairs: (P, 2) rows that are duplicates.
    """
    leaked = np.zeros(len(dataset), dtype=bool)
    for split in dataset.splits:
        is_test, is_other = np.zeros(len(dataset), dtype=bool), np.zeros(len(dataset), dtype=bool)
        is_test[split.test] = True
        is_other[np.concatenate([split.train, split.val])] = True
        for one, other in (pairs.T, pairs.T[::-1]):
            leaked[one[is_test[one] & is_other[other]]] = True
    return leaked


def _mark(finding: Finding) -> str:
    return "!!" if finding.stops else "!" if finding.is_fault else "-"


def _of_several(units: np.ndarray) -> list[list[int]]:
    """The places of each unit that has more than one."""
    order = np.argsort(units, kind="stable")
    cuts = np.flatnonzero(np.diff(units[order])) + 1
    return [places.tolist() for places in np.split(order, cuts) if len(places) > 1]


def name_of(part_name: str, part: Subset, row: int) -> str:
    """What to call an image: its path, or its number in its part where it never was a file."""
    return f"{part_name} image {row}" if part.files is None else str(part.files["path"].iloc[row])


def _duplicates(dataset: Dataset, pairs: pd.DataFrame, is_one_split: bool) -> Iterator[Finding]:
    parts = dataset.parts
    labels = [
        [parts[name].labels[row] for name, row in pairs[[split, row]].itertuples(index=False)]
        for split, row in (("split", "row"), ("other_split", "other_row"))
    ]
    across = (pairs["split"] != pairs["other_split"]).to_numpy()
    exact = pairs["exact"].to_numpy(dtype=bool)
    disagree = np.array(labels[0]) != np.array(labels[1])
    for split, others in (("test", "train or val"), ("val", "train")):
        chosen = across & (pairs["split"] == split).to_numpy()
        if images := pairs[chosen]["row"].nunique():
            share = f"{100 * images / len(parts[split]):.1f} %"
            copies = pairs[chosen & exact]["row"].nunique()
            said = (
                f"{counted(images, f'{split} image')} ({share}) with a duplicate in {others}; {copies:,} of them exact"
            )
            yield Finding(f"{split} images leaked", images, said, _names(dataset, pairs[chosen]))
    for kind, chosen in (("exact", ~across & exact), ("near", ~across & ~exact)):
        if images := len(pairs[chosen][["split", "row"]].drop_duplicates()):
            said = f"{counted(images, 'image')} {'are' if images > 1 else 'is'} "
            said += {"exact": "an exact copy of", "near": "nearly the same as"}[kind] + " another"
            said += " of its split" if is_one_split else ": tested together"
            yield Finding(f"{kind} duplicates", images, said, _names(dataset, pairs[chosen]))
    if disagree.any():
        said = f"{counted(int(disagree.sum()), 'pair')} of duplicates with different labels"
        yield Finding("labels disagree", int(disagree.sum()), said, _names(dataset, pairs[disagree], labelled=True))


def _alike(dataset: Dataset) -> Iterator[Finding]:
    """By what near-duplicates were told, and how many of them may be none."""
    near = near_duplicates(dataset)
    if np.isinf(near.bound):
        said = "the pictures are too alike for near-duplicates to be told: only exact copies are"
        yield Finding("alike", len(dataset), said, is_fault=False)
    elif len(near.rows):
        said = (
            f"{counted(len(near.rows), 'pair')} of near-duplicates, from a similarity of {near.bound:g} on: "
            f"{near.differ:,} of different labels, by which about {near.false:,.0f} of all are merely alike"
        )
        yield Finding("alike", len(near.rows), said, is_fault=False)


def _names(dataset: Dataset, pairs: pd.DataFrame, labelled: bool = False) -> tuple[str, ...]:
    parts = dataset.parts

    def name(part: str, row: int) -> str:
        label = f" ({shown(dataset.class_names[parts[part].labels[row]])})" if labelled else ""
        return name_of(part, parts[part], row) + label

    columns = ["split", "row", "other_split", "other_row"]
    return tuple(f"{name(a, i)} = {name(b, j)}" for a, i, b, j in pairs[columns].head(EXAMPLES).itertuples(index=False))


def _groups(dataset: Dataset) -> Iterator[Finding]:
    """The groups that the user named, or those that the names of files suggest."""
    if dataset.groups is not None and dataset.has_groups:
        names, sizes = np.unique(dataset.groups, return_counts=True)
        examples = tuple(map("{}: {:,}".format, map(shown, names), sizes))[:EXAMPLES]
        said = f"{len(dataset):,} images in {counted(len(names), 'group')}, each on one side of every split"
        yield Finding("groups", len(names), said, examples, is_fault=False)
    elif dataset.files is not None and (guess := guessed(dataset.files["path"].tolist(), dataset.labels)):
        pattern, groups = guess
        of_group = dataset.files["path"].groupby(groups).agg(", ".join)
        said = (
            f"{len(dataset):,} images seem to come in {len(of_group):,} groups; where those of a group show one thing, "
            f"keep them on one side of every split, or scores are too high: --group={shlex.quote(pattern)}"
        )
        yield Finding("groups suspected", len(of_group), said, tuple(of_group)[:EXAMPLES])


def _balance(dataset: Dataset) -> Iterator[Finding]:
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    names = [shown(name) for name in dataset.class_names]
    if not (there := np.flatnonzero(counts)).size:  # of classes that are not there, that is said already
        return
    most, least = int(counts.argmax()), int(there[counts[there].argmin()])
    if counts[most] >= IMBALANCE * counts[least]:
        said = (
            f"{names[most]!r} has {counts[most] / counts[least]:.1f} times as many training images as "
            f"{names[least]!r} ({counts[most]:,} and {counts[least]:,}): consider --class-weights balanced"
        )
        yield Finding("imbalance", len(names), said, tuple(map("{}: {:,}".format, names, counts))[:EXAMPLES])
    if (few := there[counts[there] < FEW]).size:
        said = f"{counted(len(few), 'class', 'classes')} with fewer than {FEW} training images"
        yield Finding("few images", len(few), said, tuple(f"{names[i]}: {counts[i]}" for i in few)[:EXAMPLES])


def _odd(dataset: Dataset) -> Iterator[Finding]:
    grey: list[str] = []
    tiny: list[str] = []
    long: list[str] = []
    is_grey = _are_grey(dataset)
    for part_name, part in dataset.parts.items():
        grey += [name_of(part_name, part, row) for row in np.flatnonzero(is_grey[part.rows]).tolist()]
        if part.files is not None:
            sides = part.files[["width", "height"]].to_numpy()
            longer, shorter = sides.max(axis=1), sides.min(axis=1)
            for found, odd in ((tiny, longer < TINY), (long, longer > LONG * shorter)):
                rows = np.flatnonzero(odd).tolist()
                found += [f"{name_of(part_name, part, row)}: {sides[row, 0]} x {sides[row, 1]}" for row in rows]
    if tiny:
        said = f"{counted(len(tiny), 'image')} smaller than {TINY} pixels"
        yield Finding("tiny", len(tiny), said, tuple(tiny[:EXAMPLES]))
    if long:
        said = f"{counted(len(long), 'image')} over {LONG:g} times as long as wide: {OF_LONG[dataset.fit]}"
        yield Finding("odd shapes", len(long), said, tuple(long[:EXAMPLES]))
    if grey:
        yield Finding(
            "grey",
            len(grey),
            f"{counted(len(grey), 'grey image')} of {sum(map(len, dataset.parts.values())):,}",
            tuple(grey[:EXAMPLES]),
            False,
        )


def _flat(dataset: Dataset) -> Iterator[Finding]:
    """Images that show next to nothing: a fault where they are half of the set, whose range was then misread."""
    flat = np.flatnonzero(_contrasts(dataset) < FLAT)
    if flat.size:
        places = (
            (name, part, np.flatnonzero(np.isin(part.rows, flat)).tolist()) for name, part in dataset.parts.items()
        )
        names = [name_of(name, part, row) for name, part, rows in places for row in rows]
        is_fault = 2 * flat.size >= len(dataset)
        of = f"{counted(flat.size, 'image')} of {len(dataset):,}"
        said = f"{of} with hardly any contrast (under {FLAT} levels of 255)"
        said += ": are their values what their type promises? save them as 8 bits" if is_fault else ""
        yield Finding("flat", int(flat.size), said, tuple(names[:EXAMPLES]), is_fault)


def _contrasts(dataset: Dataset) -> np.ndarray:
    """(N,) levels between dark and light of each image."""
    if dataset.files is not None:
        return dataset.files["contrast"].to_numpy(dtype=int)
    return np.array([contrast_of(dataset.images[row]) for row in range(len(dataset))])


def _are_grey(dataset: Dataset) -> np.ndarray:
    """(N,) bool, whether all three channels are the same."""
    if dataset.files is not None:
        return dataset.files["grey"].to_numpy(dtype=bool)
    chunks = (dataset.images[start : start + CHUNK] for start in range(0, len(dataset), CHUNK))
    return np.concatenate([(chunk == chunk[..., :1]).all(axis=(1, 2, 3)) for chunk in chunks])


def _told(dataset: Dataset) -> Iterator[Finding]:
    """What was done to images, and what was left aside: nobody need act on it."""
    done: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for part in dataset.parts.values():
        for path, notices in () if part.files is None else part.files[["path", "notices"]].itertuples(index=False):
            for notice in filter(None, notices.split(", ")):
                what = "first frame of several" if notice.startswith("first of") else notice
                done[what] += 1
                examples.setdefault(what, []).append(path)
    for what, times in done.items():
        if what != "grey":  # told above
            yield Finding(what, times, f"{counted(times, 'image')}: {what}", tuple(examples[what][:EXAMPLES]), False)
    for why, times in dataset.ignored.items():
        yield Finding("ignored", times, f"{times:,} left aside: {why}", is_fault=False)
