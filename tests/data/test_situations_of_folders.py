"""Layouts of folders that occur: archives as they are unpacked, sets for other tasks, links, what tools left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from situations import Case, assert_is_so, planted

PETS = {"cat": 4, "dog": 4}


def given(train: str, test: str, classes=("cat", "dog")) -> dict[str, int]:
    return {f"{train}/{name}": 4 for name in classes} | {f"{test}/{name}": 2 for name in classes}


def with_files(folders, **files):
    """Folders of pictures, and other files by their path ("__" for "/")."""

    def make(root: Path) -> None:
        planted(root, folders)
        for name, content in files.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return make


def with_results(*folders):
    """Pets, and folders that headstart has left there."""

    def make(root: Path) -> None:
        planted(root, PETS)
        for folder in folders:
            planted(root, {f"{folder}/figures": 2})
            (root / folder / "request.json").write_text("{}")

    return make


def flat_splits(root: Path) -> None:
    planted(root, {"train/cat": 4, "train/dog": 4, "test": 5})


def linked_class(root: Path) -> None:
    planted(root, PETS)
    planted(root.parent / "elsewhere", {"bird": 4})
    (root / "bird").symlink_to(root.parent / "elsewhere" / "bird")


def linked_files(root: Path) -> None:
    planted(root, {"cat": 4})
    planted(root.parent / "store", {"dog": 4})
    (root / "dog").mkdir()
    for path in (root.parent / "store" / "dog").iterdir():
        (root / "dog" / path.name).symlink_to(path)


def linked_splits(root: Path) -> None:
    planted(root, {"train/cat": 4, "train/dog": 4})
    planted(root.parent / "elsewhere", PETS)
    (root / "test").symlink_to(root.parent / "elsewhere")


def loops(root: Path) -> None:
    planted(root, PETS)
    (root / "cat" / "up").symlink_to(root)
    (root / "dog" / "cats").symlink_to(root / "cat")
    (root / "circle").symlink_to(root / "circle")


def broken_links(root: Path) -> None:
    planted(root, PETS)
    (root / "cat" / "gone.jpg").symlink_to(root / "annex" / "gone.jpg")


def copies_of_another_class(root: Path) -> None:
    planted(root, {"cat": 4})
    shutil.copytree(root / "cat", root / "dog")


def copies_of_each_other(root: Path) -> None:
    planted(root, PETS)
    for path in (root / "dog").iterdir():
        path.write_bytes((root / "dog" / "0.png").read_bytes())


def none_readable(root: Path) -> None:
    planted(root, PETS | {"bird": 3})
    for path in (root / "bird").iterdir():
        path.write_bytes(b"")


def under_two_names(root: Path) -> None:
    planted(root, PETS)
    os.link(root / "cat" / "0.png", root / "dog" / "same.png")


SITUATIONS = {
    # splits in all spellings
    "Training, Testing": Case(given("Training", "Testing"), {"cat": 6, "dog": 6}, ["in Training, Testing"]),
    "training_set, test_set": Case(given("training_set", "test_set"), {"cat": 6, "dog": 6}, ["test 4"]),
    "Train, Test": Case(given("Train", "Test"), {"cat": 6, "dog": 6}, splits={"train": 6, "val": 2, "test": 4}),
    "train2017, val2017": Case(given("train2017", "val2017"), {"cat": 6, "dog": 6}, ["val 4", "test set aside here"]),
    "TRAIN-images, dev": Case(given("TRAIN-images", "dev"), {"cat": 6, "dog": 6}, ["val 4"]),
    "train data, validation": Case(given("train data", "validation"), {"cat": 6, "dog": 6}, ["val 4"]),
    "an outer folder of the same name": Case(
        given("seg_train/seg_train", "seg_test/seg_test"), {"cat": 6, "dog": 6}, ["in seg_train/seg_train"]
    ),
    "with what is to be predicted beside": Case(
        given("seg_train/seg_train", "seg_test/seg_test") | {"seg_pred/seg_pred": 3},
        {"cat": 6, "dog": 6},
        ["files beside the class folders"],
    ),
    "splits in each class": Case(
        {"cat/train": 4, "cat/test": 2, "dog/train": 4, "dog/test": 2}, {"cat": 6, "dog": 6}, ["splits in each of them"]
    ),
    "test without class folders": Case(flat_splits, PETS, ["test/ has no class folders: its 5 files are left aside"]),
    "train alone": Case({"train/cat": 4, "train/dog": 4}, PETS, ["in train", "val and test set aside here"]),
    # folders in folders
    "a folder in a folder": Case({"archive/dataset/cat": 4, "archive/dataset/dog": 4}, PETS, ["in archive/dataset"]),
    "splits in a folder in a folder": Case(
        given("a/data/train", "a/data/test"), {"cat": 6, "dog": 6}, ["a/data/train"]
    ),
    "the same folder twice": Case({"pets/pets/cat": 4, "pets/pets/dog": 4}, PETS, ["in pets/pets"]),
    "images of classes beside annotations": Case(
        with_files({"Images/cat": 4, "Images/dog": 4}, Annotations__cat__1="<xml/>"), PETS, ["in Images"]
    ),
    "deeper folders in a class": Case({"cat/2023": 2, "cat/2024": 2, "dog/2023": 4}, PETS),
    "the parent of two data sets": Case(
        {"a/train/cat": 4, "a/test/cat": 2, "b/train/cat": 4}, None, ["holds train/ itself: pass that folder"]
    ),
    "splits in another language": Case(
        given("entrenamiento", "prueba"),
        {"entrenamiento": 8, "prueba": 4},
        ["each class holds the same folders, cat, dog: if these are the classes, and entrenamiento, prueba are splits"],
    ),
    # what is no set of classes
    "test and val without train": Case(given("test", "val"), None, ["test/, val/ and no train/ with class folders"]),
    "images and masks": Case({"images": 4, "masks": 4}, None, ["holds images/, masks/: the layout of a set for detec"]),
    "images and labels in splits": Case(
        with_files({"train/images": 4, "valid/images": 4}, train__labels__1="0 1", valid__labels__1="0 1"),
        None,
        ["train holds images/, labels/: the layout of a set for detection or segmentation"],
    ),
    "photos and train_masks": Case({"photos": 4, "train_masks": 4}, None, ["the layout of a set for detection or seg"]),
    "with and without a mask": Case({"with_mask": 4, "without_mask": 4}, {"with_mask": 4, "without_mask": 4}),
    "images beside a table": Case(
        with_files({"train": 4, "test": 4}, **{"train.csv": "path,label"}),
        None,
        ["no class folders in them: pass train.csv, which lies there, if it names a path and a label for each"],
    ),
    "splits in images": Case(
        with_files({"images/train": 4, "images/val": 4}, labels__train__1="0"), None, ["no class folders in images/"]
    ),
    "images alone in splits": Case({"train": 4, "test": 4}, None, ["no class folders in them: pass a CSV"]),
    "images alone": Case({"": 4}, None, ["4 images and no class folders: put them into a folder for each class"]),
    "nothing": Case({}, None, ["no class folders found"]),
    "splits and classes mixed": Case({"train/cat": 4, "dog": 4}, None, ["also dog/: keep splits and classes apart"]),
    "one split twice": Case(
        {"train/cat": 4, "val/cat": 2, "valid/cat": 2}, None, ["one split twice: val/, valid/ are each taken for val"]
    ),
    "a run's own folder": Case(with_files({"figures": 2}, **{"request.json": "{}"}), None, ["results of headstart"]),
    # classes
    "a class called train": Case(
        {"bus": 4, "car": 4, "train": 4}, {"bus": 4, "car": 4, "train": 4}, ["taken for a class, as it holds images"]
    ),
    "one class": Case({"cat": 4}, None, ["one class, 'cat', found"]),
    "one class in splits": Case({"train/cat": 4, "test/cat": 2}, None, ["one class, 'cat', found"]),
    "an empty class": Case(
        lambda root: (planted(root, PETS) / "bird").mkdir(), None, ["class 'bird' has no image: its folder is empty"]
    ),
    "a class of other files": Case(
        with_files(PETS, bird__1=".", **{"docs__a.txt": "mine"}),
        None,
        ["class 'docs' has no image: 1 file, not im"],
    ),
    "a class without a readable file": Case(none_readable, None, ["'bird' has no image: none of its 3 files can be"]),
    "a class that test lacks": Case(
        {"train/cat": 4, "train/dog": 4, "test/cat": 2}, None, ["test has no image of class 'dog', which another split"]
    ),
    "a class that train lacks": Case(
        given("train", "test") | {"test/bird": 4}, None, ["train has no image of class 'bird', which another split has"]
    ),
    "classes that differ by case between splits": Case(
        {"train/Cat": 4, "train/dog": 4, "test/cat": 2, "test/dog": 2},
        None,
        ["classes that differ by case alone, kept apart: Cat / cat", "test has no image of class 'Cat'"],
    ),
    "letters as classes": Case({"A": 4, "a": 4}, {"A": 4, "a": 4}, ["kept apart: A / a"]),
    "two Unicode forms": Case(
        {"caf\u00e9": 4, "cafe\u0301": 4, "bar": 4}, {"bar": 4, "caf\u00e9": 8}, ["each taken for one class: 'café'"]
    ),
    "blanks about a name": Case({"cat": 4, " cat": 4, "dog": 4}, {"cat": 8, "dog": 4}, ["'cat': ' cat', 'cat'"]),
    "two blanks in a name": Case({"a cat": 4, "a  cat": 4, "dog": 4}, {"a cat": 8, "dog": 4}, ["one class: 'a cat'"]),
    "a mark that nobody sees": Case({"cat": 4, "\u200bcat": 4, "dog": 4}, {"cat": 8, "dog": 4}, ["each taken for one"]),
    "1 and 1.0": Case({"1": 4, "1.0": 4, "2": 4}, {"1": 8, "2": 4}, ["'1': '1', '1.0'"]),
    "a folder called nan": Case(PETS | {"nan": 3}, PETS, ["3 files without a label (empty, or nan), left out"]),
    "a class of copies of another": Case(
        copies_of_another_class, None, ["all of its 4 images are copies of images of 'cat'"]
    ),
    "a class of copies of each other": Case(
        copies_of_each_other, None, ["too few different images: 1, and 3", "its 4 images are copies of each other"]
    ),
    "a file in two classes": Case(under_two_names, None, ["1 file under two labels, splits or groups"]),
    # links
    "a class that is a link": Case(
        linked_class,
        None,
        ["'bird' has no image: all there is of it is 1 link, not followed; give --follow-links"],
    ),
    "a class that is a link, followed": Case(linked_class, PETS | {"bird": 4}, options={"follow_links": True}),
    "a class of links": Case(linked_files, None, ["class 'dog' has no image: all there is of it is 4 links"]),
    "a class of links, followed": Case(linked_files, PETS, options={"follow_links": True}),
    "a split that is a link": Case(linked_splits, None, ["test is a link, which is not followed: give --follow-links"]),
    "a split that is a link, followed": Case(linked_splits, {"cat": 8, "dog": 8}, options={"follow_links": True}),
    "loops": Case(loops, PETS, ["links, which are not followed"]),
    "loops, followed": Case(loops, PETS, ["links to a folder that is listed already"], options={"follow_links": True}),
    "links that lead nowhere, followed": Case(
        broken_links, PETS, ["1 file cannot be read, left out"], options={"follow_links": True}
    ),
    # what lies beside
    "results of headstart in it": Case(with_results("runs/photos-1", "runs/photos-2"), PETS, ["results of headstart"]),
    "results under another name": Case(with_results("first"), PETS, ["results of headstart itself"]),
    "system folders": Case(PETS | {"__MACOSX/cat": 3, ".cache": 1, "@eaDir": 1}, PETS, ["hidden and system files"]),
    "a read-me and a licence": Case(
        with_files({"pets/cat": 4, "pets/dog": 4}, LICENSE="free", **{"README.md": "#"}), PETS, ["not images by their"]
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_folder_is_taken_for_what_it_is_and_told_of(name, tmp_path):
    assert_is_so(SITUATIONS[name], tmp_path / "photos")
