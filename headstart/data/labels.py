"""What classes and splits may be called, and which classes can be split: the rules that every source goes through."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from natsort import natsorted

from headstart.data.dataset import PARTS, Dataset
from headstart.data.findings import Finding, UnusableDataError, counted, some
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

MISSING = ("", "nan", "<na>", "nat")  # how tables, and folders made from them, write that there is no label
UNSEEN = "\u200b\u200e\u200f\u2060\ufeff"  # zero-width space and joiner, marks of direction and of byte order
UNUSED = "unused"  # the part of an image that is in no split
SPLIT_NAME = re.compile(
    r"(?:seg_?)?(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))"
    r"(?:_?(?:sets?|data|dataset|images?|imgs?|split|samples|folder))?(?:_?20\d\d)?"
)


def split_named(word: str) -> str | None:
    """ "train", "val" or "test" where a folder or cell says one of them in a usual spelling: "Training", "val2017",
    "test_set", "seg_train"; else None."""
    plain = re.sub(r"[-_. ]+", "_", word.strip().casefold()).strip("_")
    match = SPLIT_NAME.fullmatch(plain)
    return match and match.lastgroup


def name_of(spelling: str) -> str:
    """The name of the class that is spelled so: in Unicode's composed form, without blanks or marks that take no room
    around it; empty for none."""
    name = unicodedata.normalize("NFC", spelling).strip().strip(UNSEEN).strip()
    return "" if name.casefold() in MISSING else name


def classes_of(spellings: Iterable[str]) -> tuple[dict[str, str], list[Finding]]:
    """Spelling -> class name, empty where it is no label, and what is to be said of it.

    Spellings that look the same (blanks, Unicode forms) or are the same number ("1" and "1.0") are one class.
    Those that differ by case stay apart: letters are classes, too.
    """
    names = {spelling: name_of(spelling) for spelling in spellings}
    known = set(names.values())
    for spelling, name in names.items():
        whole, dot, rest = name.partition(".")
        if dot and whole.isdecimal() and rest and not rest.strip("0") and whole in known:
            names[spelling] = whole
        elif (single := " ".join(name.split())) in known:
            names[spelling] = single
    ways: defaultdict[str, list[str]] = defaultdict(list)
    for spelling, name in names.items():
        ways[name].append(spelling)
    same = [f"{shown(name)!r}: {', '.join(map(ascii, ways[name]))}" for name in ways if name and len(ways[name]) > 1]
    alike = alike_by_case(natsorted(ways))
    found = []
    if same:
        said = f"labels that are written in several ways, each taken for one class: {some(same)}"
        found.append(Finding("spellings of a label", len(same), said, tuple(same[3:])))
    if alike:
        said = f"classes that differ by case alone, kept apart: {some(alike)}; where they are one, write them alike"
        found.append(Finding("classes alike", len(alike), said, tuple(alike[3:])))
    return names, found


def alike_by_case(names: Iterable[str]) -> list[str]:
    """Those of these names that differ by case alone, those that belong together in one text."""
    folded: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        folded[name.casefold()].append(shown(name))
    return [" / ".join(together) for together in folded.values() if len(together) > 1]


def checked_names(class_names: Any) -> tuple[str, ...]:
    """The class names of a list of them; HeadstartError where they are no texts, or two of them, or one, are no name of
    their own."""
    if isinstance(class_names, str) or not isinstance(class_names, Sequence | np.ndarray):
        raise HeadstartError(f"class_names must be a list of texts; got {type(class_names).__name__}")
    given = tuple(class_names)
    if wrong := [name for name in given if not isinstance(name, str)]:
        raise HeadstartError(f"class_names must be texts; got {wrong[0]!r} ({type(wrong[0]).__name__})")
    names, _ = classes_of(given)
    if none := [name for name in given if not names[name]]:
        raise HeadstartError(f"class_names: {none[0]!r} is no name of a class")
    if twice := [name for name, times in Counter(names[name] for name in given).items() if times > 1]:
        raise HeadstartError(f"class_names: two classes are called {shown(twice[0])!r}; each needs a name of its own")
    return given


def unfit(
    labels: np.ndarray,
    parts: np.ndarray,
    groups: np.ndarray,
    class_names: Sequence[str],
    why: Mapping[str, str],
    are_named: bool = False,
) -> list[Finding]:
    """Why images cannot be split into train, val and test with every class in each, causes first; all of it stops.

    labels, parts, groups: (N,) int, "train", "val", "test" or "", and equal for images that stay together. why: class
    -> why it has no image, where that is known. are_named: whether the user said which groups there are; else images of
    a group are copies.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    names = [shown(name) for name in class_names]
    found = []
    if len(names) < 2:
        said = f"one class, {names[0]!r}," if names else "no class folders and no labels"
        found.append(
            _stop("classes", len(names), f"{said} found: there must be two classes or more, with images in each")
        )
    for label in np.flatnonzero(counts == 0).tolist():
        reason = why.get(class_names[label], "no label says it")
        found.append(_stop("empty class", 1, f"class {names[label]!r} has no image: {reason}"))
    if not (counts > 0).any():
        return found
    present = counts > 0
    given = [part for part in PARTS if (parts == part).any()]
    if given and "train" not in given and not (parts == "").any():
        found.append(_stop("no train", 1, f"there is {' and '.join(given)}, and no train: nothing to learn from"))
        return found
    for part in given:
        here = np.bincount(labels[parts == part], minlength=len(names)) > 0
        if lost := [repr(names[label]) for label in np.flatnonzero(present & ~here)]:
            said = f"{part} has no image of class {some(lost)}, which another split has: every split needs every class"
            found.append(_stop(f"classes missing in {part}", len(lost), said))
    return found + _too_few(labels, parts, groups, names, are_named)


def _too_few(
    labels: np.ndarray, parts: np.ndarray, groups: np.ndarray, names: Sequence[str], are_named: bool
) -> list[Finding]:
    """The classes with too few different images, or groups, for a val and a test to be cut where none is given."""
    missing = [part for part in ("test", "val") if not (parts == part).any()]
    pool = np.flatnonzero((parts == "train") | (parts == ""))
    if not missing or not len(pool):
        return []
    needed = 1 + len(missing)
    words = " and ".join(["one for train", *(f"one for {part}" for part in missing)])
    _, firsts, group_of = np.unique(groups[pool], return_index=True, return_inverse=True)
    owner = labels[pool][firsts]  # of each group: the class of its first image
    counts = np.bincount(owner, minlength=len(names))
    if are_named:  # a patient may have images of several classes, and counts for each
        counts = np.bincount(np.unique(group_of * len(names) + labels[pool]) % len(names), minlength=len(names))
    images = np.bincount(labels[pool], minlength=len(names))
    found = []
    for label in np.flatnonzero((images > 0) & (counts < needed)).tolist():
        theirs = owner[group_of[labels[pool] == label]]
        others = [repr(names[other]) for other in np.unique(theirs[theirs != label])]
        what = "groups" if are_named else "different images"
        said = f"class {names[label]!r} has too few {what}: {counts[label]}, and {needed} are needed ({words})"
        if are_named:
            said += f"; it has {counted(images[label], 'image')}"
        elif others:
            copies = (theirs != label).sum()
            all_of = "all" if copies == images[label] else f"{copies:,}"
            said += f"; {all_of} of its {counted(images[label], 'image')} are copies of images of {some(others)}"
        elif images[label] > counts[label]:
            said += f"; its {images[label]:,} images are copies of each other"
        said += f"; add {what.split()[-1]}, or leave the class out"
        found.append(_stop("too few images", 1, said))
    return found


def unfit_of(dataset: Dataset, parts: np.ndarray, why: Mapping[str, str]) -> list[Finding]:
    """What `unfit` finds of a data set. parts: (N,) "train", "val", "test", "" or, of an image that no split uses,
    UNUSED."""
    used = np.flatnonzero(parts != UNUSED)
    groups = dataset.contents if dataset.groups is None else dataset.groups
    about = (dataset.labels[used], parts[used], groups[used], dataset.class_names)
    return unfit(*about, why, dataset.has_groups)


def refuse_unfit(dataset: Dataset, parts: np.ndarray) -> None:
    """Raise UnusableDataError where `unfit` finds anything. parts: as for `unfit_of`."""
    if found := unfit_of(dataset, parts, {}):
        raise UnusableDataError(dataset.name, dataset.name, found)


def checked(dataset: Dataset) -> Dataset:
    """A data set that was made elsewhere, held to the same rules; HeadstartError where it breaks them."""
    names, labels = checked_names(dataset.class_names), dataset.labels
    if not len(labels) or labels.min() < 0 or labels.max() >= len(names):
        raise HeadstartError(f"{dataset.name}: labels must be indices into its {len(names)} class names")
    for split in dataset.splits:
        if empty := [part for part in ("train", "test") if not len(split.parts[part])]:
            raise HeadstartError(f"{dataset.name}: its split {shown(split.name)!r} has no image in {empty[0]}")
    if len(dataset.splits) == 1:
        parts = np.full(len(dataset), UNUSED)
        for part, rows in dataset.splits[0].parts.items():
            parts[rows] = part
        refuse_unfit(dataset, parts)
    return dataset


def _stop(kind: str, count: int, said: str) -> Finding:
    return Finding(kind, count, said, stops=True)
