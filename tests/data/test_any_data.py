"""Folders and tables put together by chance from what occurs: no traceback, and no image is lost without a word.

HEADSTART_EXAMPLES says how many of each are tried (default 20). What a long run gave: docs/decisions/layouts.md.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
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

IMAGES = [encoded(picture(seed, 16, 12), "PNG") for seed in range(24)]
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


LEVELS = st.sampled_from(
    [("",), ("",), ("train/", "test/"), ("Training/", "val/"), ("seg_train/seg_train/", "dev/"), ("test/", "val/")]
)
PLACES = st.integers(0, 9) | FOLDERS  # of a file: among those of the classes, or anywhere
TYPICAL = st.tuples(
    st.sampled_from(["", "", "dataset/", "a/b/"]), LEVELS, st.lists(CLASSES, min_size=2, max_size=3, unique=True)
).map(lambda drawn: [f"{drawn[0]}{level}{name}" for level in drawn[1] for name in drawn[2]])
"""Folders of classes, in splits or not, in a folder or not: most of what is tried should be near to usable."""


def write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError:  # a file lies where a folder should, or a folder where it should
        pass


def make(root: Path, classes: list[str], files: list[tuple], links: list[tuple]) -> None:
    """classes: folders, each of four images. files: (the place of one of these folders or a folder, name, content).
    links: (folder, name, what it leads to)."""
    for place, folder in enumerate(classes):
        for number in range(4):
            write(root / folder / f"{number}.png", IMAGES[(4 * place + number) % len(IMAGES)])
    for folder, name, content in files:
        write(
            root / (folder if isinstance(folder, str) else [*classes, ""][folder % (len(classes) + 1)]) / name, content
        )
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
        listing = scan(place, follow_links=follow_links)
    except HeadstartError as error:
        assert str(error).isprintable()
        event("refused")
        return
    listed = len(listing.paths) + len(listing.left_out)
    assert there is None or listed + sum(listing.ignored.values()) == there
    try:
        dataset = load(place, max_bad=1.0, follow_links=follow_links)
    except UnusableDataError as error:
        assert str(error).isprintable() and any(finding.stops for finding in error.findings)
        dataset = error.dataset
        event("told what stops it")
    else:
        event("used")
    if dataset is not None:
        assert len(dataset) + len(dataset.unreadable) == listed
        assert dataset.ignored == listing.ignored
        assert all("\t" not in line for line in audit(dataset).lines(examples=3, width=80))


@examples
@given(
    classes=TYPICAL | TYPICAL | st.lists(FOLDERS, max_size=4),
    files=st.lists(st.tuples(PLACES, FILES, CONTENTS), max_size=4),
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
PATHS = [f"{folder}/{number}.png" for folder in ("a cat", "dog") for number in range(4)]


@examples
@given(
    odd=st.lists(
        st.tuples(
            st.sampled_from([*PATHS, "dog/9.png"]),
            CLASSES | st.sampled_from(["", "dog"]),
            SPLITS | st.sampled_from(["", "True", "0", "devil"]),
        ),
        max_size=3,
    ),
    is_odd=st.booleans(),
    splits=st.sampled_from(
        [("",), ("",), ("train", "test"), ("Training", "val", "test"), ("True", "False"), ("devil",)]
    ),
    ways=st.lists(st.sampled_from(list(WRITTEN)), min_size=1, max_size=2),
    header=HEADERS,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
)
def test_any_table_is_used_or_told_of_or_refused_in_a_line(
    tmp_path_factory, odd, is_odd, splits, ways, header, delimiter, encoding
):
    root = tmp_path_factory.mktemp("any")
    make(root, ["a cat", "dog"], [], [])
    rows = [(path, path.partition("/")[0], splits[place % len(splits)]) for place, path in enumerate(PATHS)]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(header)
    cells = []
    for place, (path, label, split) in enumerate([*rows, *odd] if is_odd else rows):
        known = {0: WRITTEN[ways[place % len(ways)]](path, root), 1: label}
        cells.append([known.get(OF_HEADER.get(name.lower(), 2), split) for name in header])
        writer.writerow(cells[-1])
    (root / "labels.csv").write_bytes(text.getvalue().encode(encoding, "replace"))
    assert_nothing_is_lost(root / "labels.csv", sum(any(cell.strip() for cell in row) for row in cells))
