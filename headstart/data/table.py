"""The rows of a CSV of labelled files, whatever wrote it: its text, its delimiter, its columns."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.data.groups import ADVICE
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

# fmt: off
COLUMNS = {  # what is read -> the names of columns it is read from, the first that there is
    "path": (
        "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "img_path",
        "image_name", "image_id",
    ),
    "label": ("label", "class", "category", "target", "class_name", "label_name"),
    "split": ("split", "subset", "partition", "is_valid"),
}
# fmt: on
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
IS_VALID = dict.fromkeys(("true", "1", "1.0", "yes"), "val") | dict.fromkeys(("false", "0", "0.0", "no"), "train")
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
ARCHIVE = "a ZIP archive or a workbook: unpack it, or save it as CSV"
OTHERS = {b"PK\x03\x04": ARCHIVE, b"\x89PNG": "an image", b"\xff\xd8\xff": "an image"}


@dataclass(frozen=True)
class Table:
    """What a CSV says, a row a file: `files` as they are written, `labels`, `splits` ("" where none is said), and the
    `lines` they stand in. columns: what is read -> the name of its column. unused: the names of the other columns.
    notes: how it was read, where that is not by commas in UTF-8. is_utf8: else what is no UTF-8 is in surrogates.
    groups: which rows belong together, by a column of that name; None where there is none."""

    files: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    lines: Sequence[int]
    columns: Mapping[str, str]
    unused: Sequence[str]
    notes: Sequence[str]
    is_utf8: bool
    groups: Sequence[str] | None = None


def read_table(path: Path, group: str | None = None) -> Table:
    """Read a CSV with columns for path, label and, if wanted, split (COLUMNS), delimited by any of DELIMITERS, in UTF-8
    or UTF-16, or in Windows' code page where it is neither.

    group: the column that says which belong together; a text with a bracket that no column has is left to
    `groups.by_pattern`. Raises HeadstartError where it cannot be read as a table, for missing columns and empty groups.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HeadstartError(f"{shown(path)} cannot be read: {error.strerror}") from None
    for start, what in OTHERS.items():
        if data.startswith(start):
            raise HeadstartError(f"{shown(path)} is {what}; a folder of images or a CSV is needed")
    try:
        text, encoding = _text(data)
        header, rows, delimiter = _rows(text)
    except (csv.Error, UnicodeError) as error:
        raise HeadstartError(f"{shown(path)} is no CSV that can be read: {' '.join(str(error).split())}") from None
    names = [_plain(name) for name in header]
    places = {what: found for what, known in COLUMNS.items() if (found := _place(names, known)) is not None}
    if missing := [what for what in ("path", "label") if what not in places]:
        raise HeadstartError(
            f"{shown(path)} lacks the column {missing[0]!r}: its first line must name the columns path,label and may "
            f"name split; it names {', '.join(map(shown, header)) or 'nothing'}"
        )
    places |= _place_of_groups(path, header, group)
    for line, row in rows:
        if any(cell.strip() for cell in row[len(header) :]):
            raise HeadstartError(
                f"{shown(path)}, line {line}: {len(row)} cells, and the first line names {len(header)} columns; quote "
                "what holds a delimiter"
            )
    cells = {what: [row[place] if place < len(row) else "" for _, row in rows] for what, place in places.items()}
    if encoding == "":
        cells |= {what: [_windows(cell) for cell in cells[what]] for what in ("label", "group") if what in cells}
    splits = [split.strip() for split in cells.get("split", [""] * len(rows))]
    if "split" in places and names[places["split"]] == "is_valid":
        splits = [IS_VALID.get(split.lower(), split) for split in splits]
    notes = [f"delimited by {DELIMITERS[delimiter]}"] if delimiter != "," else []
    notes += {"utf-16": ["in UTF-16"], "": ["not in UTF-8: its labels are read as Windows-1252"]}.get(encoding, [])
    unused = [shown(name) or "(no name)" for place, name in enumerate(header) if place not in places.values()]
    columns = {what: shown(header[place].strip()) for what, place in places.items()}
    lines = [line for line, _ in rows]
    groups = [name.strip() for name in cells["group"]] if "group" in cells else None
    if groups and "" in groups:
        line = lines[groups.index("")]
        raise HeadstartError(f"{shown(path)}, line {line}: {columns['group']} is empty: every image needs a group")
    return Table(cells["path"], cells["label"], splits, lines, columns, unused, notes, encoding != "", groups)


def _place_of_groups(path: Path, header: Sequence[str], group: str | None) -> dict[str, int]:
    """ "group" -> the place of the column that is called so; nothing where it can only be a pattern."""
    if group is None:
        return {}
    names = [_plain(name) for name in header]
    if _plain(group) in names:
        return {"group": names.index(_plain(group))}
    if "(" in group:
        return {}
    raise HeadstartError(
        f"{shown(path)} has no column {shown(group)!r}: it has {', '.join(map(shown, header))}; {ADVICE}"
    )


def _plain(name: str) -> str:
    """A column's name as it is compared."""
    return name.strip().lower().replace(" ", "_")


def _text(data: bytes) -> tuple[str, str]:
    """The text of a file, and its encoding; "" for one that is unknown, whose bytes above 127 become surrogates."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, "surrogateescape" if mark == codecs.BOM_UTF8 else "strict"), encoding
    for encoding, zeros in (("utf-16-le", data[1:200:2]), ("utf-16-be", data[:200:2])):
        if zeros and 2 * zeros.count(0) > len(zeros):
            return data.decode(encoding), "utf-16"
    text = data.decode("utf-8", "surrogateescape")
    return text, "" if any("\udc80" <= character <= "\udcff" for character in text) else "utf-8"


def _windows(cell: str) -> str:
    """A cell with surrogates, as Windows' code page for western Europe reads its bytes."""
    return cell.encode("utf-8", "surrogateescape").decode("cp1252", "backslashreplace")


def _rows(text: str) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """The header, (line, cells) of each row that is not empty, and the delimiter: the first that gives the columns that
    are needed, else the one that gives the most."""
    lines = list(io.StringIO(text, newline=""))
    first = next((place for place, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise csv.Error("it is empty")
    if lines[first].lower().startswith("sep=") and len(lines) > first + 1:  # as Excel is told of a delimiter
        first += 1
    headers = {mark: next(csv.reader([lines[first]], delimiter=mark)) for mark in DELIMITERS}
    delimiter = max(headers, key=lambda mark: (_fits(headers[mark]), len(headers[mark])))
    reader = csv.reader(lines[first:], delimiter=delimiter, strict=True)
    header = next(reader)
    rows = [(first + reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    return header, rows, delimiter


def _fits(header: Sequence[str]) -> bool:
    names = [_plain(name) for name in header]
    return all(_place(names, COLUMNS[what]) is not None for what in ("path", "label"))


def _place(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)
