"""Which folders are the classes of which split, recognised by names and by what lies in them; no file is opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from natsort import natsorted

from headstart.data.dataset import PARTS
from headstart.data.findings import Finding, counted, some
from headstart.data.labels import split_named
from headstart.data.tree import Tree, join
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

# fmt: off
PICTURES = {
    "images", "image", "imgs", "img", "jpegimages", "photos", "pictures", "inputs", "input", "frames", "jpgs", "jpg",
    "pngs", "png",
}
ANNOTATIONS = {
    "masks", "mask", "labels", "label", "annotations", "annotation", "annots", "bboxes", "bbox", "boxes", "xmls", "xml",
    "gt", "groundtruth", "truth", "segmentations", "segmentation", "segmentationclass", "segmentationobject",
    "imagesets", "targets",
}
# fmt: on
UNLABELLED = {"pred", "seg_pred", "predict", "unlabeled", "unlabelled", "unsup"}
HOW = "pass a CSV with the columns path,label (and, if wanted, split)"


@dataclass(frozen=True)
class Layout:
    """places: (split, or "", and the spelling of a class) -> the folder of its images, relative to the root.
    said: where the labels are from, in words. findings: what was guessed."""

    places: Mapping[tuple[str, str], str]
    said: str
    findings: tuple[Finding, ...] = ()


def recognise(tree: Tree) -> Layout:
    """Find the class folders below a root: <class>, <split>/<class> or <class>/<split>, also in a folder of folders.

    Splits are known by the spellings of `split_named`. A folder that is alone is gone into, and images/ beside folders
    of annotations is. Raises HeadstartError, with the layout that was found, where that is none of classes.
    """
    if tree.is_own(""):
        raise HeadstartError(f"{_path(tree, '')} holds results of headstart, no images")
    base = _inside(tree, "")
    names = tree.folders(base)
    splits = {name: split for name in names if (split := split_named(name))}
    if not names and not tree.linked(base):
        raise HeadstartError(f"{_path(tree, base)}: {_nothing(tree, base)}")
    if splits and not _are_classes(tree, base, names, splits):
        return _of_splits(tree, base, names, splits)
    if found := _of_classes_with_splits(tree, base, names):
        return found
    _refuse_nested_splits(tree, base, names)
    places = {("", name): join(base, name) for name in [*names, *tree.linked(base)]}
    return Layout(places, _said(base), tuple(_guesses(tree, base, names, list(splits))))


def _guesses(tree: Tree, base: str, names: Sequence[str], splits: Sequence[str]) -> Iterator[Finding]:
    """What is to be said of folders that were taken for classes, and may be something else."""
    if splits:
        said = f"taken for a class, as it holds images like the folders beside it: {some([*map(shown, splits)])}"
        yield Finding("class named like a split", len(splits), said, is_fault=False)
    inner = [set(tree.folders(join(base, name))) for name in names if not tree.images(join(base, name))]
    same = natsorted(set.intersection(*inner)) if len(inner) == len(names) > 1 else []
    if len(same) > 1:
        said = (
            f"each class holds the same folders, {some([*map(shown, same)])}: if these are the classes, and "
            f"{some([*map(shown, names)])} are splits, call those train, val and test"
        )
        yield Finding("same folders in each class", len(same), said)


def _inside(tree: Tree, path: str) -> str:
    """The folder that `path` stands for: itself, or the one folder in it that holds all there is of classes."""
    while True:
        names = tree.folders(path)
        kinds = {name: _role(name) for name in names}
        if {"pictures", "annotations"} <= set(kinds.values()):
            pictures = [join(path, name) for name in names if kinds[name] == "pictures"]
            others = ", ".join(f"{shown(name)}/" for name in names if kinds[name] != "pictures")
            if len(pictures) > 1 or not _holds_classes(tree, pictures[0]):
                raise HeadstartError(
                    f"{_path(tree, path)} holds {', '.join(f'{shown(name)}/' for name in names)}: the layout of a set "
                    f"for detection or segmentation, with no class folders in {shown(pictures[0])}/ (and labels, if "
                    f"any, in {others}); {_how(tree, path)}"
                )
            path = pictures[0]
        elif len(names) == 1 and not tree.images(path) and not tree.linked(path):
            inner = join(path, names[0])
            if not tree.folders(inner) or (split_named(names[0]) and not split_named(Path(path).name)):
                return path
            path = inner
        else:
            return path


def _holds_classes(tree: Tree, path: str) -> bool:
    """Whether there are class folders below a folder of pictures: folders of images that are no splits."""
    names = tree.folders(path)
    inner = [
        join(path, name, deeper) for name in names if split_named(name) for deeper in tree.folders(join(path, name))
    ]
    return bool(inner) or any(not split_named(name) for name in names)


def _are_classes(tree: Tree, base: str, names: Sequence[str], splits: Mapping[str, str]) -> bool:
    """Whether folders that are called like splits are classes: they hold images themselves, and so do others."""
    others = [name for name in names if name not in splits and not _is_unlabelled(name)]
    return any(tree.images(join(base, name)) for name in others) and not any(
        tree.folders(join(base, name)) for name in splits
    )


def _of_splits(tree: Tree, base: str, names: Sequence[str], splits: Mapping[str, str]) -> Layout:
    where, listed = _path(tree, base), ", ".join(f"{shown(name)}/" for name in splits)
    others = [name for name in names if name not in splits and not _is_unlabelled(name) and _role(name) == ""]
    if others:
        raise HeadstartError(
            f"{where} holds {listed} and also {some([f'{shown(name)}/' for name in others])}: keep splits and classes "
            f"apart, photos/train/<class>/ or photos/<class>/; where {shown(next(iter(splits)))} is a class, {HOW}"
        )
    if linked := [shown(name) for name in tree.linked(base) if split_named(name)]:
        raise HeadstartError(f"{where}: {some(linked)} is a link, which is not followed: give --follow-links")
    if twice := [split for split, times in Counter(splits.values()).items() if times > 1]:
        both = ", ".join(f"{shown(name)}/" for name in splits if splits[name] == twice[0])
        raise HeadstartError(f"{where} holds one split twice: {both} are each taken for {twice[0]}; keep one of them")
    inside = {name: _inside(tree, join(base, name)) for name in splits}
    flat = [name for name, path in inside.items() if not tree.folders(path) and not tree.linked(path)]
    ordered = sorted(splits, key=lambda name: PARTS.index(splits[name]))
    full = {name: inside[name] for name in ordered if name not in flat}
    if "train" not in [splits[name] for name in full]:
        if len(flat) < len(splits):
            raise HeadstartError(
                f"{where} holds {listed} and no train/ with class folders: there is nothing to learn from; pass one of "
                "them alone, or give train/<class>/ beside them"
            )
        raise HeadstartError(f"{where} holds {listed}, but no class folders in them: {_how(tree, base)}")
    places = {
        (splits[name], folder): join(path, folder)
        for name, path in full.items()
        for folder in [*tree.folders(path), *tree.linked(path)]
    }
    for path in full.values():
        _refuse_nested_splits(tree, path, tree.folders(path))
    unlabelled = [name for name in flat if tree.images(join(base, name))]
    findings = [
        Finding(
            "no class folders",
            len(images := tree.images(inside[name])),
            f"{shown(name)}/ has no class folders: its {counted(len(images), 'file')} are left aside, without a label",
        )
        for name in unlabelled
    ]
    return Layout(places, _said(*full.values()), tuple(findings))


def _of_classes_with_splits(tree: Tree, base: str, names: Sequence[str]) -> Layout | None:
    """<class>/<split>/: every class holds splits, and they hold images; None where it is not so."""
    inner = {name: tree.folders(join(base, name)) for name in names}
    if len(names) < 2 or not all(
        folders
        and all(split_named(folder) and not tree.folders(join(base, name, folder)) for folder in folders)
        and len({split_named(folder) for folder in folders}) == len(folders)
        and not tree.images(join(base, name))
        for name, folders in inner.items()
    ):
        return None
    places = {(str(split_named(folder)), name): join(base, name, folder) for name in names for folder in inner[name]}
    return Layout(places, f"{_said(base)}, the splits in each of them")


def _refuse_nested_splits(tree: Tree, base: str, names: Sequence[str]) -> None:
    """A class folder that itself holds train/ with folders is no class: the parent of the data was given."""
    for name in names:
        for folder in tree.folders(join(base, name)):
            if split_named(folder) == "train" and tree.folders(join(base, name, folder)):
                raise HeadstartError(
                    f"{_path(tree, join(base, name))} holds {shown(folder)}/ itself: pass that folder, not one above it"
                )


def _role(name: str) -> str:
    """ "annotations" or "pictures" for a folder that is called so, as "masks" and "train_masks" are; else ""."""
    words = set(re.split(r"[-_. ]+", name.lower()))
    return "annotations" if words & ANNOTATIONS else "pictures" if words & PICTURES else ""


def _is_unlabelled(name: str) -> bool:
    return name.lower() in UNLABELLED


def _nothing(tree: Tree, base: str) -> str:
    if found := tree.images(base):
        return (
            f"{counted(len(found), 'image')} and no class folders: put them into a folder for each class, "
            f"photos/<class>/, or {_how(tree, base)}"
        )
    return "no class folders found; it must hold a folder of images for each of two or more classes"


def _how(tree: Tree, base: str) -> str:
    """What to pass instead of a folder without classes: a table that lies there, or one that is to be written."""
    tables = {join(path, each.name) for path in ("", base) for each in tree.entries(path) if each.name.endswith(".csv")}
    if tables:
        return f"pass {some(sorted(map(shown, tables)))}, which lies there, if it names a path and a label for each"
    return HOW


def _said(*paths: str) -> str:
    paths = tuple(shown(path) for path in paths if path)
    return "the names of folders" + (f" in {some(paths)}" if paths else "")


def _path(tree: Tree, path: str) -> str:
    return shown(tree.root / path)
