"""Folders and tables as people have them: a row is a small input, what is taken of it and what is said.

`Case(make, classes, said)`: make writes the input below an empty folder and returns the place to load (None: that
folder), or is a mapping folder -> number of pictures. classes: class -> number of images that are taken; None where
nothing can be trained. said: texts that must be told, by the summary, the findings or the error.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pictures import plant

from headstart.data.findings import UnusableDataError
from headstart.data.load import load
from headstart.data.summary import WIDTH, summary
from headstart.errors import HeadstartError

Make = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Case:
    """See above. splits: part -> number of its images, where that is the point. options: those of `load`."""

    make: Make | Mapping[str, int]
    classes: Mapping[str, int] | None
    said: Sequence[str] = ()
    splits: Mapping[str, int] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def planted(root: Path, folders: Mapping[str, int]) -> Path:
    """Write so many pictures into each folder, no two alike anywhere."""
    for folder, count in folders.items():
        plant(root, {folder: count}, first_seed=zlib.crc32(folder.encode("utf-8", "surrogateescape")) % 10**6 * 100)
    return root


def table(root: Path, rows: Sequence[Sequence[str]], header: str = "path,label", encoding: str = "utf-8") -> Path:
    """Write labels.csv: rows below a header, by the delimiter of the header."""
    delimiter = next((mark for mark in ";\t|" if mark in header), ",")
    text = "\n".join([header, *(delimiter.join(row) for row in rows)])
    (root / "labels.csv").write_bytes(text.encode(encoding, "surrogateescape"))
    return root / "labels.csv"


def rows_of(root: Path, written: Callable[[Path, Path], str] = lambda path, root: str(path.relative_to(root))) -> list:
    """A row a picture below a folder: its path as `written` writes it, and its folder's name."""
    return [[written(path, root), path.parent.name] for path in sorted(root.rglob("*.png"))]


def assert_is_so(case: Case, root: Path) -> None:
    """Make the input and look whether it is taken, and told of, as the row says."""
    root.mkdir()
    place = planted(root, case.make) if isinstance(case.make, Mapping) else case.make(root) or root
    try:
        dataset = load(place, **{"max_bad": 1.0, **case.options})
        told = [*summary(dataset), *(finding.said for finding in dataset.found), *dataset.ignored]
    except UnusableDataError as error:
        dataset, told = None, [finding.said for finding in error.findings if finding.stops or finding.is_fault]
        assert any(finding.stops for finding in error.findings)
    except HeadstartError as error:
        dataset, told = None, [str(error)]
    for text in case.said:
        assert any(text in " ".join(each.split()) for each in told), "\n".join(told)
    if case.classes is None:
        assert dataset is None, "\n".join(told)
        return
    assert dataset is not None, "\n".join(told)
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    assert dict(zip(dataset.class_names, counts.tolist(), strict=True)) == dict(case.classes)
    assert all(len(line) <= WIDTH or " " not in line.strip() for text in summary(dataset) for line in text.splitlines())
    if case.splits is not None:
        assert {part: len(subset) for part, subset in dataset.parts.items()} == dict(case.splits)
