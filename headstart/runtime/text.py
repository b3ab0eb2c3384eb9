"""Names from outside, such as those of files and classes, as lines of text may hold them."""

from __future__ import annotations

from pathlib import Path


def shown(name: str | Path) -> str:
    """A file or class name without control characters; what is not UTF-8 is escaped."""
    text = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shorten(text: str, length: int) -> str:
    """Cut `text` to `length` characters out of its middle: names that begin alike often differ at the end."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return text[: length - 1 - tail] + "…" + text[len(text) - tail :]
