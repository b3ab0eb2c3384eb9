"""A CSV of the images of a folder or CSV that are worth keeping, and one of those that are not; the files themselves
stay as and where they are."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.dataset import PARTS
from headstart.data.findings import counted
from headstart.data.folder import collection_at
from headstart.data.listing import File, Listing, scan
from headstart.data.load import DATASETS
from headstart.data.store import open_store
from headstart.errors import HeadstartError
from headstart.options import Options
from headstart.runtime.places import write_bytes
from headstart.runtime.text import shown
from headstart.values import path

KEEP, LEFT_OUT = "keep.csv", "left_out.csv"
COPY, DISPUTED, UNREADABLE = "exact copy of one that is kept", "exact copies with different labels", "cannot be read"
FIRST = PARTS[::-1]  # of copies in several splits the one in test stays: what scores are measured on is not thinned


@dataclass
class Image:
    """A path with its label, as a listing has it. where: absolute. content: equal for exact copies, empty where it
    cannot be read. notes: what was done to it. why: it is left out: what kind of reason, and more of it."""

    file: File
    where: str
    content: str
    notes: list[str] = field(default_factory=list)
    why: tuple[str, str] | None = None


def refuse(data: str, target: Path) -> None:
    """Raise HeadstartError where nothing can be written for these data: they have no files, or `target` is no place for
    it. Nothing is made."""
    if data in DATASETS:
        raise HeadstartError(f"--fix is for a folder or CSV of your own: {data} has no files to choose from")
    real = target.resolve()
    if real.is_relative_to(path(data).resolve()):
        raise HeadstartError(
            f"--fix {shown(target)} lies in {shown(data)}, which is not touched: name a folder elsewhere"
        )
    there = next(each for each in (real, *real.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise HeadstartError(f"--fix {shown(target)}: {shown(there)} is no folder; name another place")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise HeadstartError(f"--fix {shown(target)}: no permission to write in {shown(there)}; name another place")
    if there == real and any(real.iterdir()):
        raise HeadstartError(f"--fix {shown(target)} is not empty: name a new folder, or empty it")


def write(data: str, target: Path, options: Options) -> str:
    """Write KEEP and LEFT_OUT into the folder `target`, which is made; returns what was kept, in lines.

    KEEP has the columns path (absolute), label, split and group where the data have them, and note: what was done to
    the image as it was read, and how many copies of it were left out. LEFT_OUT: path, why. Exact are copies that are
    equal in every pixel, as decoded; further paths to one file are copies, too.
    """
    place = path(data)
    listing = scan(place, options.group, options.follow_links)
    images = list(_images(listing, place, options))
    _judge(images)
    kept = [image for image in images if image.why is None]
    left_out = [(image.where, *image.why) for image in images if image.why is not None]
    left_out += [(name, *_halves(why)) for name, why in listing.left_out.items()]
    given = [name for name in ("split", "group") if any(getattr(image.file, name) for image in images)]
    rows = (
        (each.where, each.file.label, *(getattr(each.file, n) for n in given), ", ".join(each.notes)) for each in kept
    )
    target.mkdir(parents=True, exist_ok=True)
    _write(target / LEFT_OUT, ("path", "why"), ((name, ": ".join(filter(None, why))) for name, *why in left_out))
    _write(target / KEEP, ("path", "label", *given, "note"), rows)
    total = counted(len(kept) + len(left_out), "file")
    lines = [f"{len(kept):,} of {total} to keep: {shown(target / KEEP)}"]
    for kind, times in Counter(kind for _, kind, _ in left_out).items():
        lines.append(f"  left out: {times:,} ({kind})")
    if left_out:
        lines.append(f"which, and why: {shown(target / LEFT_OUT)}; nothing was moved or changed")
    if "group" in given:
        lines.append("its groups are in a column: give --group group with it")
    return "\n".join(lines)


def _halves(why: str) -> tuple[str, str]:
    kind, _, more = why.partition(": ")
    return kind, more


def _images(listing: Listing, place: Path, options: Options) -> Iterator[Image]:
    """What a listing holds, further paths to one file last; each file is read, or was."""
    if not listing.paths:
        return
    files = open_store(listing, collection_at(place), options.fit, options.image_size).files
    read = files[["error", "sha256", "notices"]].to_numpy().tolist()
    names = [listing.class_names[label] for label in listing.labels]
    groups = [""] * len(read) if listing.groups is None else listing.groups.tolist()
    listed = [*map(File, listing.splits.tolist(), names, listing.paths, groups)]
    root = listing.root.resolve()
    for file, row in (*zip(listed, range(len(read)), strict=True), *listing.again):
        error, content, notices = read[row]
        why = (UNREADABLE, error) if error else None
        yield Image(file, os.path.normpath(root / file.path), content, [notices] if notices else [], why)


def _judge(images: Sequence[Image]) -> None:
    """Say of each exact copy why it is left out: all of those whose labels differ, else all but the first in the first
    of the splits FIRST."""
    same: defaultdict[str, list[Image]] = defaultdict(list)
    for image in sorted(images, key=lambda each: FIRST.index(each.file.split) if each.file.split else 0):
        if image.why is None:
            same[image.content].append(image)
    for first, *others in same.values():
        labels = {image.file.label: image.where for image in (first, *others)}
        if len(labels) > 1:
            said = ", ".join(f"{shown(label)} ({shown(where)})" for label, where in labels.items())
            for image in (first, *others):
                image.why = DISPUTED, said
        elif others:
            first.notes.append(f"{counted(len(others), 'exact copy', 'exact copies')} left out")
            for image in others:
                image.why = COPY, shown(first.where)


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV, whole or not at all, in UTF-8 with a mark: so labels are read as UTF-8 also where names of files are
    none."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes(file, text.getvalue().encode("utf-8-sig", "surrogateescape"))
