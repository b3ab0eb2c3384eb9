"""Names from outside, such as those of files and classes, as lines of text may hold them."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path, PureWindowsPath
from typing import Any
from unicodedata import bidirectional, category, east_asian_width

IN_ASCII = {  # signs of our own, where standard output cannot have them
    **{"\N{NO-BREAK SPACE}": " ", "±": "+-", "\N{EN DASH}": "-", "…": "...", "\N{MULTIPLICATION SIGN}": "x", "·": "-"},
    **dict.fromkeys("─━╴╺╸", "-"),
}
LONGEST_CELL = 60  # letters
JOINER, LEFT_TO_RIGHT = "\N{ZERO WIDTH JOINER}", "\N{LEFT-TO-RIGHT MARK}"
JOINED = (JOINER, *map(chr, range(0x1F3FB, 0x1F400)))  # what belongs to the sign before it: colours of skin, too


def encodable(name: str | Path) -> str:
    """A file or class name that files of text can hold: what is not UTF-8 is escaped."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def shown(name: str | Path) -> str:
    """A file or class name without control characters; what is not UTF-8 is escaped."""
    text = encodable(name)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def published(source: str) -> str:
    """Where data is from, as others may read it: an address as it is, a path on this machine without what is above."""
    is_path = "://" not in source and bool({*"/\\"} & {*source})
    return f"a folder or table, {PureWindowsPath(source).name}" if is_path else source


def shorten(text: str, length: int) -> str:
    """Cut `text` to `length` columns out of its middle: names that begin alike often differ at the end. A letter of
    Chinese, Japanese or Korean fills two columns, as an emoji does; none is cut in two."""
    signs = _signs(text)
    widths = [_columns(sign) for sign in signs]
    if sum(widths) <= length:
        return text
    tail = (length - 1) // 2
    begin, end = _fitting(widths, length - 1 - tail), len(signs) - _fitting(widths[::-1], tail)
    return "".join((*signs[:begin], "…", *signs[end:]))


def _signs(text: str) -> list[str]:
    """What a reader takes for one sign each: a letter with its marks, an emoji of several joined."""
    signs: list[str] = []
    for character in text:
        joins = category(character).startswith("M") or character in JOINED or (signs and signs[-1].endswith(JOINER))
        if signs and joins:
            signs[-1] += character
        else:
            signs.append(character)
    return signs


def _columns(sign: str) -> int:
    return 2 if east_asian_width(sign[0]) in "WF" else 1


def _fitting(widths: Sequence[int], columns: int) -> int:
    """How many of the first signs have room."""
    return sum(end <= columns for end in accumulate(widths))


def in_a_line(name: str) -> str:
    """A name as a line from left to right may hold it: marks keep one from right to left from turning round what stands
    beside it, numbers above all."""
    is_turned = any(bidirectional(character) in ("R", "AL", "AN") for character in name)
    return f"{LEFT_TO_RIGHT}{name}{LEFT_TO_RIGHT}" if is_turned else name


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *said: str) -> str:
    """What a notebook shows of an object: a title, a table and sentences. All text is escaped, long text cut."""

    def cells(tag: str, values: Iterable[object]) -> str:
        return "".join(f"<{tag}>{escape(shorten(shown(str(value)), LONGEST_CELL))}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<p><b>{escape(shown(title))}</b></p><table><thead><tr>{cells('th', columns)}</tr></thead>"
        f"<tbody>{body}</tbody></table>{''.join(f'<p>{escape(shown(each))}</p>' for each in said if each)}"
    )


def plain_where_needed(*streams: Any) -> None:
    """Let text streams write what their encoding lacks in another way, in place of an error: our own signs as ASCII has
    them, letters of names as `\\xe9`, which can be told apart."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):  # others are no files: those of tests and notebooks
            stream.reconfigure(errors=_plain.__name__)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    text = "".join(IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in lacking)
    return text, error.end


codecs.register_error(_plain.__name__, _plain)
