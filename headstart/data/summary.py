"""What was taken for a data set, in a few lines that every command says which loads one."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from headstart.data.dataset import Dataset
from headstart.data.findings import counted
from headstart.runtime.text import shorten, shown

WIDTH = 80
MOST_CLASSES = 12  # that are named; of more, the largest and the smallest
LONGEST = 24  # characters of a class name
INDENT = 12


def summary(dataset: Dataset) -> list[str]:
    """What a data set holds and how it was read: lines of at most WIDTH characters."""
    of = counted(len(dataset.class_names), "class", "classes")
    lines = [wrapped(f"{dataset.name}: {counted(len(dataset), 'image')} in {of}, from {dataset.source}")]
    for head, said in (
        ("classes", _classes(dataset)),
        ("labels", dataset.labels_from),
        ("splits", _splits(dataset)),
        ("images", _files(dataset)),
    ):
        if said:
            lines.append(wrapped(f"  {head:{INDENT - 2}}{said}", indent=INDENT))
    return lines


def wrapped(text: str, width: int = WIDTH, indent: int = 4) -> str:
    """A text in lines of at most so many characters, the second and later ones indented; no word is broken."""
    if len(text) <= width:
        return text
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _classes(dataset: Dataset) -> str:
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    said = [
        f"{shorten(shown(name), LONGEST)}: {count:,}" for name, count in zip(dataset.class_names, counts, strict=True)
    ]
    if len(said) <= MOST_CLASSES:
        return ", ".join(said)
    order = np.argsort(-counts, kind="stable")
    half = MOST_CLASSES // 2
    largest, smallest = ([said[label] for label in chosen] for chosen in (order[:half], order[-half:]))
    return f"{', '.join(largest)}, … {len(said) - 2 * half:,} more …, {', '.join(smallest)}"


def _splits(dataset: Dataset) -> str:
    if len(dataset.splits) > 1:
        return f"{len(dataset.splits)}, in which {len(dataset.tested):,} images are tested"
    parts = ", ".join(f"{part} {len(subset):,}" for part, subset in dataset.parts.items() if len(subset))
    if not dataset.cut:
        return parts
    return f"{parts} ({' and '.join(reversed(dataset.cut))} set aside here, as none was given)"


def _files(dataset: Dataset) -> str:
    height, width, _ = dataset.image_shape
    kept = f"{width} x {height} pixels"
    if dataset.files is None:
        return kept
    formats = Counter(dataset.files["format"]).most_common()
    return f"{_listed(formats)}; {'; '.join(_sizes(dataset))}, kept as {kept}"


def _listed(formats: Sequence[tuple[str, int]]) -> str:
    return formats[0][0] if len(formats) == 1 else ", ".join(f"{name} {times:,}" for name, times in formats)


def _sizes(dataset: Dataset) -> Iterator[str]:
    """The size that all have, or the smallest, the median and the largest, by the number of their pixels."""
    assert dataset.files is not None
    sides = dataset.files[["width", "height"]].to_numpy()
    order = np.argsort(sides.prod(axis=1), kind="stable")
    small, middle, large = (f"{w:,} x {h:,}" for w, h in sides[order[[0, len(order) // 2, -1]]].tolist())
    yield small if small == large else f"{small} to {large} pixels, median {middle}"
