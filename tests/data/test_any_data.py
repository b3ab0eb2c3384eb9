"""Folders and tables put together by chance from what occurs: no traceback, and no image is lost without a word.

HEADSTART_EXAMPLES says how many of each are tried (default 20). What a long run gave: docs/decisions/layouts.md.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import encoded, picture

from headstart.data.audit import audit
from headstart.data.findings import UnusableDataError
from headstart.data.listing import scan
from headstart.data.load import load
from headstart.errors import HeadstartError

examples = settings(
    max_examples=int(os.environ.get("HEADSTART_EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

IMAGES = [encoded(picture(seed, 16, 12), "PNG") for seed in range(12)]
OTHERS = [b"", b"<html>", IMAGES[0][:-20], encoded(picture(99, 16, 12), "JPEG")]
CLASSES = st.sampled_from(["cat", "dog", "Cat", " cat", "caf\u00e9", "cafe\u0301", "1", "1.0", "nan", "two\nlines"])
SPLITS = st.sampled_from(["train", "Training", "test", "test_set", "val", "valid", "seg_train"])
ODD = st.sampled_from(["images", "masks", "dataset", "runs", "photos-1", ".hidden", "__MACOSX", "pred", "docs"])
FILES = st.sampled_from(["a.png", "b.PNG", "c", "d.jpg", "e.txt", "Thumbs.db", ".f.png", "request.json", "README"])
NAMES = CLASSES | SPLITS | ODD
FOLDERS = st.lists(NAMES, max_size=4).map("/".join)
CONTENTS = st.sampled_from([*IMAGES, *OTHERS])
LINKS = st.tuples(
    FOLDERS, st.sampled_from(["g.png", "bird", "test"]), st.sampled_from(["", "cat", "cat/a.png", "none"])
)


def typical(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Folders of classes, in splits or not, in a folder or not: most of what is tried should be near to usable."""
    return st.tuples(
        st.sampled_from(["", "dataset/", "a/b/"]),
        st.lists(SPLITS.map("{}/".format) | st.just(""), min_size=1, max_size=2, unique=True),
        st.lists(names, min_size=1, max_size=3, unique=True),
    ).map(lambda drawn: [f"{drawn[0]}{split}{name}" for split in drawn[1] for name in drawn[2]])


def write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError:  # a file lies where a folder should, or a folder where it should
        pass


def make(
    root: Path, classes: list[str], files: list[tuple[str, str, bytes]], links: list[tuple[str, str, str]]
) -> None:
    for place, folder in enumerate(classes):
        for number in range(3):
            write(root / folder / f"{number}.png", IMAGES[(3 * place + number) % len(IMAGES)])
    for folder, name, content in files:
        write(root / folder / name, content)
    for folder, name, to in links:
        link = root / folder / name
        if link.parent.is_dir() and not os.path.lexists(link):
            link.symlink_to(root / to)


def entries(root: Path) -> int:
    """Files and links below a folder, none of them followed."""
    found = 0
    for folder, inner, files in os.walk(root):
        found += len(files) + sum((Path(folder) / name).is_symlink() for name in inner)
    return found


def assert_nothing_is_lost(place: Path, there: int | None, follow_links: bool = False) -> None:
    """All that is there is used, or told as left out; None: whatever that is."""
    try:
        listing = scan(place, follow_links)
    except HeadstartError as error:
        assert str(error).isprintable()
        return
    listed = len(listing.paths) + len(listing.left_out)
    assert there is None or listed + sum(listing.ignored.values()) == there
    try:
        dataset = load(place, max_bad=1.0, follow_links=follow_links)
    except UnusableDataError as error:
        assert str(error).isprintable() and any(finding.stops for finding in error.findings)
        dataset = error.dataset
    if dataset is not None:
        assert len(dataset) + len(dataset.unreadable) == listed
        assert dataset.ignored == listing.ignored
        assert all("\t" not in line for line in audit(dataset).lines(examples=3, width=80))


@examples
@given(
    classes=typical(CLASSES) | st.lists(FOLDERS, max_size=4),
    files=st.lists(st.tuples(FOLDERS, FILES, CONTENTS), max_size=6),
    links=st.lists(LINKS, max_size=2),
    follow_links=st.booleans(),
)
def test_any_folder_is_used_or_told_of_or_refused_in_a_line(tmp_path_factory, classes, files, links, follow_links):
    root = tmp_path_factory.mktemp("any")
    make(root, classes, files, links)
    assert_nothing_is_lost(root, None if follow_links else entries(root), follow_links)


WRITTEN = {
    "as it is": lambda path, root: path,
    "backslashes": lambda path, root: path.replace("/", "\\"),
    "a drive": lambda path, root: "C:\\old\\" + path.replace("/", "\\"),
    "a URL": lambda path, root: (root / path).as_uri(),
    "%-codes": lambda path, root: path.replace(" ", "%20"),
    "blanks": lambda path, root: f" {path} ",
    "no ending": lambda path, root: path.removesuffix(".png"),
    "elsewhere": lambda path, root: f"/data/{path}",
    "home": lambda path, root: f"~/{path}",
    "nothing": lambda path, root: "",
    "NUL": lambda path, root: f"{path}\0",
    "long": lambda path, root: path * 200,
}
HEADERS = st.sampled_from(
    [
        ("path", "label", "split"),
        ("id", "Filename", "class", "subset", "camera"),
        ("path", "label"),
        ("image", "target", "is_valid"),
        ("path", "name"),
    ]
)
OF_HEADER = {"path": 0, "filename": 0, "image": 0, "label": 1, "class": 1, "target": 1}


@examples
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([f"{name}/{number}.png" for name in ("a cat", "dog") for number in range(4)]),
            CLASSES | st.just(""),
            SPLITS | st.sampled_from(["", "True", "0", "devil"]),
        ),
        max_size=10,
    ),
    ways=st.lists(st.sampled_from(list(WRITTEN)), min_size=1, max_size=2),
    header=HEADERS,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    has_labels=st.booleans(),
)
def test_any_table_is_used_or_told_of_or_refused_in_a_line(
    tmp_path_factory, rows, ways, header, delimiter, encoding, has_labels
):
    root = tmp_path_factory.mktemp("any")
    make(root, ["a cat", "dog"], [], [])
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    cells = []
    for place, (path, label, split) in enumerate(rows):
        label = label if has_labels else path.partition("/")[0]
        known = {0: WRITTEN[ways[place % len(ways)]](path, root), 1: label}
        cells.append([known.get(OF_HEADER.get(name.lower(), 2), split) for name in header])
        writer.writerow(cells[-1])
    (root / "labels.csv").write_bytes(text.getvalue().encode(encoding, "replace"))
    assert_nothing_is_lost(root / "labels.csv", sum(any(cell.strip() for cell in row) for row in cells))
