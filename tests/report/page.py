"""The page as the tests read it."""

from __future__ import annotations

from html.parser import HTMLParser

from headstart.results import runs
from headstart.results.comparison import Comparison

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """The page as a browser's tree would have it: raises where a tag is not closed by its own."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(comparison: Comparison) -> str:
    return (comparison.folder / runs.REPORT).read_text(encoding="utf-8")
