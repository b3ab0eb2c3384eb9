"""Where a figure's texts come to lie."""

from __future__ import annotations

import itertools
from unittest import mock

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

TOUCH = 1.0  # pixels by which the boxes of two texts may meet: letters do not fill theirs


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that a reader sees, and its box in pixels."""
    seen: list[tuple[str, Bbox]] = []
    draw = Text.draw

    def record(text: Text, renderer: object) -> None:
        if text.get_visible() and text.get_text().strip():
            seen.append((text.get_text(), text.get_window_extent(renderer)))
        draw(text, renderer)

    figure.draw_without_rendering()  # the layout settles
    with mock.patch.object(Text, "draw", record):
        figure.draw_without_rendering()
    return seen


def misplaced(figure: Figure, page: Bbox | None = None) -> list[tuple[str, ...]]:
    """Texts that leave the page (by default the figure), and pairs of texts that lie on each other."""
    texts, page = drawn_texts(figure), page or figure.bbox
    outside = [
        (text,)
        for text, box in texts
        if not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1)
    ]
    pairs = itertools.combinations(texts, 2)
    return outside + [(a, b) for (a, of_a), (b, of_b) in pairs if of_a.padded(-TOUCH).overlaps(of_b.padded(-TOUCH))]
