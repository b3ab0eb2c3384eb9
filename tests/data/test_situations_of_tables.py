"""Tables that occur: written on other machines, by spreadsheets and by scripts, with paths from elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from situations import Case, assert_is_so, planted, rows_of, table

PETS = {"cat": 4, "dog": 4}


def written(how, header="path,label", encoding="utf-8", folders=PETS):
    """Pets, and a table with each path as `how` writes it: how(path relative to the root, root)."""

    def make(root: Path) -> Path:
        planted(root, folders)
        return table(root, rows_of(root, lambda path, root: how(path.relative_to(root), root)), header, encoding)

    return make


def with_rows(change, header="path,label", encoding="utf-8"):
    """Pets, and a table whose rows [path, label] are changed: change(rows) gives those that are written."""

    def make(root: Path) -> Path:
        planted(root, PETS)
        return table(root, change(rows_of(root)), header, encoding)

    return make


def labelled(**labels):
    """Rows with other labels: "cat0" is the first cat's."""
    return lambda rows: [[path, labels.get(label + Path(path).stem, label)] for path, label in rows]


def in_a_folder_below(root: Path) -> Path:
    planted(root / "images", PETS)
    return table(root, [[path.removeprefix("images/"), label] for path, label in rows_of(root)])


def beside_the_working_directory(root: Path) -> Path:
    planted(root, PETS)
    (root.parent / "tables").mkdir()
    return table(root.parent / "tables", [[f"{root.name}/{path}", label] for path, label in rows_of(root)])


def in_the_home_folder(root: Path) -> Path:
    planted(root.parent / "home", PETS)
    return table(root, [[f"~/{path}", label] for path, label in rows_of(root.parent / "home")])


def with_percent_in_names(root: Path) -> Path:
    planted(root, {"50%25 cat": 4, "dog": 4})
    return table(root, rows_of(root))


def gone(root: Path) -> Path:
    planted(root, PETS)
    place = table(root, rows_of(root))
    shutil.rmtree(root / "cat")
    return place


def linked(root: Path) -> Path:
    planted(root.parent / "store", PETS)
    (root / "data").symlink_to(root.parent / "store")
    return table(root, [[f"data/{path}", label] for path, label in rows_of(root.parent / "store")])


def bytes_of(*names: str):
    def make(root: Path) -> Path:
        (root / "labels.csv").write_bytes(names[0].encode("latin-1"))
        return root / "labels.csv"

    return make


SPLITS = ("Training", "valid", "test")

SITUATIONS = {
    # how it is written
    "semicolons": Case(written(lambda path, root: str(path), "path;label"), PETS, ["delimited by semicolons"]),
    "tabs": Case(written(lambda path, root: str(path), "path\tlabel"), PETS, ["delimited by tabs"]),
    "UTF-16": Case(written(lambda path, root: str(path), encoding="utf-16"), PETS, ["is in UTF-16"]),
    "UTF-16 without a mark": Case(written(lambda path, root: str(path), encoding="utf-16-le"), PETS, ["is in UTF-16"]),
    "a mark before UTF-8": Case(written(lambda path, root: str(path), encoding="utf-8-sig"), PETS),
    "a spreadsheet's sep=": Case(written(lambda path, root: str(path), "sep=;\npath;label"), PETS, ["semicolons"]),
    "capitals and blanks in the header": Case(written(lambda path, root: str(path), " Path , LABEL"), PETS),
    "filename and class": Case(written(lambda path, root: str(path), "filename,class"), PETS, ["the column 'class'"]),
    "Windows' code page": Case(
        with_rows(labelled(**{f"cat{i}": "M\u00f6we" for i in range(4)}), encoding="cp1252"),
        {"M\u00f6we": 4, "dog": 4},
        ["read as Windows-1252"],
    ),
    "columns that are not used": Case(
        with_rows(lambda rows: [["7", *row, "x"] for row in rows], ",path,label,camera"),
        PETS,
        ["columns of labels.csv that are not used: (no name), camera"],
    ),
    "delimiters at the end of rows": Case(with_rows(lambda rows: [[*row, "", ""] for row in rows]), PETS),
    "no header": Case(with_rows(lambda rows: rows, "cat/0.png,cat"), None, ["lacks the column 'path'"]),
    "an image": Case(bytes_of("\x89PNG\r\n"), None, ["is an image; a folder of images or a CSV is needed"]),
    "an archive": Case(bytes_of("PK\x03\x04"), None, ["a ZIP archive or a workbook"]),
    "a header alone": Case(bytes_of("path,label\n"), None, ["no class folders and no labels found"]),
    # how paths are written
    "backslashes": Case(written(lambda path, root: str(path).replace("/", "\\")), PETS, ["with / for \\ (8 of them)"]),
    "a drive": Case(
        written(lambda path, root: f"C:\\Users\\me\\{path.parent.name}\\{path.name}"),
        PETS,
        ["without 3 leading folders"],
    ),
    "file://": Case(written(lambda path, root: (root / path).as_uri()), PETS, ["without file:// (8 of them)"]),
    "%-codes": Case(
        written(lambda path, root: str(path).replace(" ", "%20"), folders={"a cat": 4, "dog": 4}),
        {"a cat": 4, "dog": 4},
        ["with %-codes decoded (4 of them): 8 of 8 files found"],
    ),
    "% in names": Case(with_percent_in_names, {"50%25 cat": 4, "dog": 4}),
    "blanks around": Case(written(lambda path, root: f" {path} "), PETS, ["without blanks around (8 of them)"]),
    "another case": Case(
        written(lambda path, root: str(path).upper().replace("CAT", "cat").replace("DOG", "dog")), PETS
    ),
    "no ending": Case(written(lambda path, root: str(path.with_suffix(""))), PETS, ["or with an ending (8 of them)"]),
    "absolute": Case(written(lambda path, root: str(root / path)), PETS),
    "absolute elsewhere": Case(written(lambda path, root: f"/data/old/{path}"), PETS, ["without 3 leading folders"]),
    "relative to a folder below": Case(in_a_folder_below, PETS, ["are read below images/: 8 of 8 files found"]),
    "relative to the working directory": Case(beside_the_working_directory, PETS, ["below the working directory"]),
    "~": Case(in_the_home_folder, PETS, ["with ~ as the home folder (8 of them)"]),
    "links": Case(linked, PETS),
    # what is missing
    "all files": Case(
        with_rows(lambda rows: [[f"none/{label}{path[-5:]}", label] for path, label in rows]),
        None,
        ["8 of 8 files of labels.csv are not there", "class 'cat' has no image: no file that is there has this label"],
    ),
    "addresses": Case(
        with_rows(lambda rows: [[f"https://example.org/{path}?", label] for path, label in rows]),
        None,
        ["(an address on the internet: nothing is fetched from there)"],
    ),
    "all files of a class": Case(gone, None, ["4 of 8 files of labels.csv are not there, such as cat/0.png; tried:"]),
    "a file": Case(
        with_rows(lambda rows: [*rows, ["cat/9.png", "cat"]]), PETS, ["1 of 9 files of labels.csv are not there"]
    ),
    "a file, where none may be bad": Case(
        with_rows(lambda rows: [*rows, ["cat/9.png", "cat"]]),
        None,
        ["1 of 9 files cannot be read, more than --max-bad 0%: cat/9.png (line 10) (no such file)"],
        options={"max_bad": 0},
    ),
    "a label": Case(with_rows(labelled(cat0="")), {"cat": 3, "dog": 4}, ["1 file without a label (empty, or nan)"]),
    "a label, as scripts write it": Case(with_rows(labelled(cat0="nan")), {"cat": 3, "dog": 4}, ["1 file without"]),
    "a label, in a row that is there twice": Case(
        with_rows(lambda rows: [["cat/0.png", ""], ["cat/0.png", ""], *rows[1:]]),
        {"cat": 3, "dog": 4},
        ["second paths to a file"],
    ),
    "a path": Case(with_rows(lambda rows: [["", "cat"], *rows]), PETS),
    # labels
    "blanks about a label": Case(with_rows(labelled(cat0=" cat")), PETS, ["'cat': ' cat', 'cat'"]),
    "1 and 1.0": Case(
        with_rows(labelled(**{f"cat{i}": "1" for i in range(3)}, cat3="1.0")), {"1": 4, "dog": 4}, ["'1': '1', '1.0'"]
    ),
    "another case of a label": Case(
        with_rows(labelled(cat0="Cat", cat1="Cat", cat2="Cat")),
        None,
        ["kept apart: Cat / cat", "class 'cat' has too few different images: 1"],
    ),
    "two labels of a file": Case(
        with_rows(lambda rows: [*rows, ["cat/0.png", "dog"]]),
        None,
        ["1 file under two labels, splits or groups, such as cat/0.png: dog, and cat"],
    ),
    "a row twice": Case(with_rows(lambda rows: [*rows, rows[0]]), PETS, ["second paths to a file"]),
    # splits
    "splits in other words": Case(
        with_rows(lambda rows: [[*row, SPLITS[max(0, i % 4 - 1)]] for i, row in enumerate(rows)], "path,label,subset"),
        PETS,
        splits={"train": 4, "val": 2, "test": 2},
    ),
    "is_valid": Case(
        with_rows(lambda rows: [[*row, str(i % 4 == 0)] for i, row in enumerate(rows)], "path,label,is_valid"),
        PETS,
        ["val 2", "test set aside here"],
    ),
    "numbers as splits": Case(
        with_rows(lambda rows: [[*row, str(i % 3)] for i, row in enumerate(rows)], "path,label,split"),
        None,
        ["8 splits that are none of train, val and test, such as 'line 2: 0'"],
    ),
    "a split for some": Case(
        with_rows(lambda rows: [[*row, "train" if i else ""] for i, row in enumerate(rows)], "path,label,split"),
        None,
        ["split is empty in 1 row, such as line 2, but others have one"],
    ),
    "no train": Case(
        with_rows(lambda rows: [[*row, "test"] for row in rows], "path,label,split"),
        None,
        ["there is test, and no"],
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_table_is_read_as_it_is_meant_and_told_of(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert_is_so(SITUATIONS[name], tmp_path / "photos")
