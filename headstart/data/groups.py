"""Which images belong together: as the user says, and what the names of files suggest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from headstart.errors import HeadstartError
from headstart.runtime.text import shown

ADVICE = "--group takes a CSV's column, or a pattern on the path with one capture, such as '(patient\\d+)'"
WORDS = "patient|pat|subject|subj|sub|person|participant|case|animal|specimen|object|obj|scene|video|vid|clip|burst"
BY_WORD = re.compile(rf"(?<![a-z])(?:{WORDS})[-_ ]?(?=\d)", re.IGNORECASE)
BY_FOLDER = r"([^/]+)/[^/]+$"
BY_COUNTER = r"([^/]*\d)[^/\d]+\d+[^/\d]*$"  # IMG_12_3.jpg: all before the last number, which counts within the group
BY_SUFFIX = r"([^/]*\d)[^/\d]*$"  # 12_left.jpg, 12b.jpg
LEAST, LEAST_OF_A_CLASS = 10, 3  # groups: fewer are sooner sources of images, or the classes themselves
USUAL_SIZE = 50  # images of a group, at most, unless a word says what it is
CONSECUTIVE = 0.5  # of the steps from one number of a group to the next that must be equal: times of day are not


def by_pattern(pattern: str, paths: Sequence[str]) -> np.ndarray:
    """(N,) str, what the pattern's capture finds in each path, relative to the data set's root.

    Raises HeadstartError for a pattern that is none, or has not one capture, and for a path in which it finds nothing.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise HeadstartError(f"--group {shown(pattern)!r} is no pattern: {error}; {ADVICE}") from None
    if compiled.groups != 1:
        raise HeadstartError(f"--group {shown(pattern)!r} has {compiled.groups or 'no'} captures; {ADVICE}")
    found = [match and match[1] for match in map(compiled.search, paths)]
    if missed := [path for path, name in zip(paths, found, strict=True) if not name]:
        raise HeadstartError(
            f"--group {shown(pattern)!r} finds nothing in {len(missed):,} of {len(paths):,} paths, such as "
            f"{shown(missed[0])}: every image needs a group"
        )
    return np.array(found, dtype=np.str_)


def refuse_crossing(groups: np.ndarray, parts: np.ndarray, paths: Sequence[str]) -> None:
    """Raise HeadstartError where a group is in two of the splits that a user gave. parts: (N,) "train", "val", "test",
    or "" where none was given."""
    table = pd.DataFrame({"group": groups, "part": parts, "path": paths}).drop_duplicates(["group", "part"])
    if (crossing := table[table["group"].duplicated(keep=False)]).empty:
        return
    name = crossing["group"].iloc[0]
    where = crossing[crossing["group"] == name].head(2)
    raise HeadstartError(
        f"group {shown(name)!r} is in {' and '.join(where['part'])} ({', '.join(map(shown, where['path']))}), and "
        f"{crossing['group'].nunique() - 1:,} more are in several: keep each in one, or give no splits"
    )


def guessed(paths: Sequence[str], labels: np.ndarray) -> tuple[str, np.ndarray] | None:
    """A pattern for `by_pattern` that seems to tell which images belong together, and the groups (N,) that it gives;
    None where nothing seems so.

    What seems so: numbers after words such as "patient", one folder a person below the class, a number that counts on
    within what is before it (IMG_12_3.jpg, frames of videos), or a word after it (12_left.jpg). Plain numbering of the
    images of a class, times of day and random names are none.
    """
    for pattern, is_word in _patterns(paths):
        try:
            groups = by_pattern(pattern, paths)
        except HeadstartError:
            continue
        if _is_likely(groups, labels, is_word) and (is_word or _fits(pattern, groups, paths, labels)):
            return pattern, groups
    return None


def _patterns(paths: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """What is tried, in order; whether a word says what it is."""
    if match := BY_WORD.search(paths[0]):
        word = match[0].replace(" ", r"\s")  # so that a line is not broken in it
        yield rf"({word}\d+)", True
    yield from ((pattern, False) for pattern in (BY_FOLDER, BY_COUNTER, BY_SUFFIX))


def _is_likely(groups: np.ndarray, labels: np.ndarray, is_word: bool) -> bool:
    """Whether most images have another of their class in their group, and classes have several groups, of few images
    each."""
    sizes = pd.DataFrame({"group": groups, "label": labels}).value_counts()
    a_class = sizes.groupby("label").size().median()
    if sizes[sizes > 1].sum() < len(groups) / 2 or a_class < LEAST_OF_A_CLASS:
        return False
    return is_word or (len(set(groups)) >= LEAST and sizes.median() <= USUAL_SIZE)


def _fits(pattern: str, groups: np.ndarray, paths: Sequence[str], labels: np.ndarray) -> bool:
    """Whether the names look as the kind of pattern has them."""
    if pattern == BY_COUNTER:
        last = [int(re.findall(r"\d+", PurePosixPath(path).name)[-1][-15:]) for path in paths]
        table = pd.DataFrame({"group": groups, "last": last}).drop_duplicates().sort_values(["group", "last"])
        steps = table.groupby("group")["last"].diff().dropna()
        return bool(len(steps) and (steps == steps.mode()[0]).mean() >= CONSECUTIVE)
    table = pd.DataFrame({"group": groups, "label": labels, "folder": [str(PurePosixPath(p).parent) for p in paths]})
    return len(table.drop_duplicates()) == len(
        table[["group", "label"]].drop_duplicates()
    )  # else numbered anew in each
