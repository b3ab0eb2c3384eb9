from __future__ import annotations

import csv
import os

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.labels import name_of, split_named
from headstart.data.listing import scan
from headstart.errors import HeadstartError
from headstart.runtime.text import shown


def plant(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode("utf-8", "surrogateescape"))
    return root


def test_classes_are_folders_in_natural_order(tmp_path):
    listing = scan(plant(tmp_path, "10/a.jpg", "2/b.jpg", "2/deeper/c.png"))
    assert listing.class_names == ("2", "10")
    assert listing.paths == ("2/b.jpg", "2/deeper/c.png", "10/a.jpg")
    assert listing.labels.tolist() == [0, 0, 1]
    assert set(listing.splits) == {""}


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_splits_are_mapped_by_class_name(tmp_path, name):
    listing = scan(plant(tmp_path, "train/b/1.jpg", "train/a/2.jpg", f"{name}/a/3.jpg", f"{name}/b/4.jpg"))
    assert dict(zip(listing.paths, listing.splits, strict=True))[f"{name}/a/3.jpg"] == "val"
    assert [listing.class_names[label] for label in listing.labels] == [path.split("/")[1] for path in listing.paths]


def test_system_files_links_and_other_files_are_counted_not_read(tmp_path):
    plant(tmp_path, "a/1.jpg", "b/2.jpg", "a/.DS_Store", "a/._1.jpg", "b/Thumbs.db", "__MACOSX/a/1.jpg", "a/notes.txt")
    plant(tmp_path, ".ipynb_checkpoints/x.jpg", "README.md")
    (tmp_path / "a/loop").symlink_to(tmp_path, target_is_directory=True)
    listing = scan(tmp_path)
    assert listing.paths == ("a/1.jpg", "b/2.jpg")
    assert listing.ignored == {
        "hidden and system files": 5,
        "links, which are not followed": 1,
        "not images by their ending": 2,
    }


def test_a_file_under_two_paths_counts_once(tmp_path):
    plant(tmp_path, "a/1.jpg", "b/2.jpg")
    os.link(tmp_path / "a/1.jpg", tmp_path / "a/again.jpg")
    listing = scan(tmp_path)
    assert listing.paths == ("a/1.jpg", "b/2.jpg")
    assert listing.ignored == {"second paths to a file": 1}


def test_a_file_in_two_classes_is_refused(tmp_path):
    plant(tmp_path, "a/1.jpg", "b/2.jpg")
    os.link(tmp_path / "a/1.jpg", tmp_path / "b/1.jpg")
    listing = scan(tmp_path)
    [finding] = listing.findings
    assert finding.stops
    assert finding.said == "1 file under two labels, splits or groups, such as b/1.jpg: b, and as a/1.jpg a"
    assert listing.ignored == {"second paths to a file": 1}


def test_names_that_are_not_utf8_or_hold_anything_else_are_listed_and_shown_safely(tmp_path):
    names = [os.fsdecode(b"caf\xe9.jpg"), "two\nlines.jpg", "a space.jpg"]
    plant(tmp_path, *(f"<img src=x onerror=alert(1)>/{name}" for name in names), "=cmd()/1.jpg")
    listing = scan(tmp_path)
    assert set(listing.class_names) == {"<img src=x onerror=alert(1)>", "=cmd()"}
    assert len(listing.paths) == 4
    for path in listing.paths:
        assert (tmp_path / path).exists()
        assert shown(path).isprintable() and shown(path).encode("utf-8")


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["1.jpg"], "1 image and no class folders"),
        (["photos/train/a/1.jpg", "other/a/1.jpg"], "pass that folder"),
        (["train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"], "one split twice"),
        (["train/a/1.jpg", "cats/1.jpg"], "keep splits and classes apart"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, paths, said):
    with pytest.raises(HeadstartError, match=said) as refusal:
        scan(plant(tmp_path, *paths))
    assert "\n" not in str(refusal.value) and str(tmp_path) in str(refusal.value)


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(HeadstartError, match="no such folder or file"):
        scan(tmp_path / "nowhere")


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_gives_paths_labels_and_splits(tmp_path):
    plant(tmp_path, "x/1.jpg", "x/2.jpg", "x/3.jpg", "x/4.jpg")
    table = "path,label,split\nx/1.jpg,10,train\nx/2.jpg,2,train\nx/3.jpg,2,validation\n./x/4.jpg,10,Val\n"
    listing = scan(written(tmp_path / "labels.csv", table))
    assert listing.class_names == ("2", "10")
    assert listing.paths == ("x/1.jpg", "x/2.jpg", "x/3.jpg", "x/4.jpg")
    assert listing.labels.tolist() == [1, 0, 0, 1]
    assert listing.splits.tolist() == ["train", "train", "val", "val"]


def test_a_label_named_na_stays_a_label(tmp_path):
    listing = scan(written(tmp_path / "labels.csv", "path,label\n1.jpg,NA\n2.jpg,null\n3.jpg,NaN\n"))
    assert set(listing.class_names) == {"NA", "null"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("weight,label\n1.jpg,a\n", "lacks the column 'path'"),
        ("path,name\n1.jpg,a\n", "lacks the column 'label'"),
        ("path,label\n1.jpg,a,b\n", "line 2: 3 cells, and the first line names 2 columns"),
        ("", "no CSV that can be read"),
        ('path,label\n"1.jpg,a\n', "no CSV that can be read"),
        ("PK\x03\x04", "a ZIP archive or a workbook"),
    ],
)
def test_a_csv_that_is_no_table_of_labels_is_refused_in_one_line(tmp_path, table, said):
    with pytest.raises(HeadstartError, match=said) as refusal:
        scan(written(tmp_path / "labels.csv", table))
    assert "\n" not in str(refusal.value)


FILE_NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)) | st.sampled_from(["\udce9", "\n", "<", "="]),
    min_size=1,
    max_size=40,
).filter(lambda name: len(os.fsencode(name)) < 200 and name not in (".", ".."))


@settings(deadline=None)
@given(classes=st.dictionaries(FILE_NAMES, st.lists(FILE_NAMES, min_size=1, max_size=3), min_size=2, max_size=4))
def test_a_folder_with_any_names_gives_its_files_or_one_line(tmp_path_factory, classes):
    root = tmp_path_factory.mktemp("any")
    for name, files in classes.items():
        plant(root, *(f"{name}/{file}" for file in files))
    try:
        listing = scan(root)
    except HeadstartError as error:
        assert str(error).isprintable()
        return
    assert all((root / path).is_file() for path in listing.paths)
    assert all(shown(name).isprintable() for name in listing.class_names)
    assert set(listing.class_names) <= {name_of(name) for name in classes} or any(map(split_named, classes))


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, st.sampled_from(["train", "val", "test", "", "dev"])), max_size=8))
def test_any_csv_gives_its_rows_or_one_line(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "labels.csv"
    table = pd.DataFrame(rows, columns=["path", "label", "split"])
    table.to_csv(path, index=False, quoting=csv.QUOTE_ALL)  # pandas leaves a lone carriage return unquoted
    try:
        listing = scan(path)
    except HeadstartError as error:
        assert str(error).isprintable()
        return
    written_rows = [row for row in rows if any(cell.strip() for cell in row)]
    assert not listing.paths and len(listing.left_out) == len(written_rows)
    assert set(listing.class_names) <= {name_of(label) for _, label, _ in rows}


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_csv_give_one_line_or_a_listing(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "labels.csv"
    path.write_bytes(content)
    try:
        scan(path)
    except HeadstartError as error:
        assert str(error).isprintable()


def test_videos_of_phones_and_live_photos_are_counted_and_left_out(tmp_path):
    names = ("IMG_1.HEIC", "IMG_1.MOV", "IMG_1.AAE", "IMG_2.mp4")
    plant(tmp_path, *(f"cat/{name}" for name in names), "dog/1.jpg")
    listing = scan(tmp_path)
    assert listing.paths == ("cat/IMG_1.HEIC", "dog/1.jpg")
    assert listing.ignored == {"videos, such as those of Live Photos": 2, "not images by their ending": 1}
