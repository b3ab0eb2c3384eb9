"""What a slide is made of: a title, text that wraps, tables, small pictures. Measured in inches from the top left."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from headstart.report.drawing import WIDTH
from headstart.report.lettering import broken, fitting, measured
from headstart.theme import GRID, INK, MUTED

HEIGHT = WIDTH * 9 / 16
MARGIN = 0.45
BODY = 11.0  # points: 16 where the slide is as wide as those of office programs
LINE = 1.4  # of the letters' height
GAP = 0.22  # between columns
LONGEST_HEAD = 0.13  # inches of a column's head in one point of type: about 16 letters


def blank(title: str) -> Figure:
    """A slide with its title, on one line: a longer one is smaller."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    figure.set_layout_engine("none")
    paragraph(figure, title, 0.38, width=WIDTH, points=fitting(title, WIDTH - 2 * MARGIN, 16, bold=True), bold=True)
    return figure


def with_chart(figure: Figure, left: float = 0.0, right: float = 1.0) -> Figure:
    """A figure as a slide: its finding is the title, and it fills what is left, from `left` to `right` (shares)."""
    title = figure.get_suptitle().replace("\n", " ")
    figure.suptitle("")
    figure.set_size_inches(WIDTH, HEIGHT)
    top = paragraph(figure, title, 0.38, points=14, bold=True) + 0.08
    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine):
        layout.set(rect=(0.035 + left, 0.01, right - left - 0.07, 0.99 - top / HEIGHT))
    return figure


def mark(figure: Figure, text: str) -> None:
    """What stands at the top of every slide, small."""
    look: dict[str, Any] = {"fontsize": 7.5, "color": MUTED, "va": "center", "ha": "right"}
    figure.text(1 - MARGIN / WIDTH, 1 - 0.2 / HEIGHT, text, **look)


def paragraph(
    figure: Figure,
    text: str,
    top: float,
    left: float = MARGIN,
    width: float = WIDTH - 2 * MARGIN,
    points: float = BODY,
    bold: bool = False,
    colour: str = INK,
) -> float:
    """Write text that wraps within `width`; returns where it ends."""
    step = LINE * points / 72
    look: dict[str, Any] = {"fontsize": points, "color": colour, "fontweight": "bold" if bold else "normal"}
    for line in wrapped(text, width, points, bold):
        figure.text(left / WIDTH, 1 - (top + step / 2) / HEIGHT, line, va="center", **look)
        top += step
    return top


def table(
    figure: Figure, rows: Sequence[Sequence[str]], top: float, heads: Sequence[str], points: float = 9.5
) -> float:
    """Write rows of cells, the first row in the colours `heads`, the first column at the left; returns where it ends.

    The names of candidates that stand there, `LONGEST_HEAD` or longer, break at their joints. The letters are as large
    as `points`, or smaller where columns or rows would not fit, with a line below them.
    """
    rows = [[broken(cell, LONGEST_HEAD, 1, bold=True) for cell in rows[0]], *rows[1:]]
    lines = max(cell.count("\n") + 1 for cell in rows[0])
    columns = list(zip(*rows, strict=True))
    needed = [max(measured(line, 1, bold=True) for cell in column for line in cell.split("\n")) for column in columns]
    room = WIDTH - 2 * MARGIN
    points = min(points, (room - GAP * (len(columns) - 1)) / sum(needed))
    step = min(2.1 * points / 72, (HEIGHT - 0.25 - top) / (len(rows) + 0.6 * (lines - 1)))
    points = min(points, step * 72 / LINE)
    gap = (room - points * sum(needed)) / (len(columns) - 1)
    top += 0.6 * (lines - 1) * step
    for place, row in enumerate(rows):
        right = MARGIN - gap
        for column, cell in enumerate(row):
            right += points * needed[column] + gap
            at, side = (MARGIN, "left") if column == 0 else (right, "right")
            colour, weight = heads[column] if place == 0 else INK, "bold" if 0 in (place, column) else "normal"
            y = 1 - (top + (0.85 if place == 0 else 0.5) * step) / HEIGHT
            look: dict[str, Any] = {"va": "bottom" if place == 0 else "center", "linespacing": 1.1}
            look |= {"ha": side, "fontsize": points, "color": colour, "fontweight": weight}
            figure.text(at / WIDTH, y, cell, **look)
        top += step
        line(figure, top)
    return top


def line(figure: Figure, top: float, colour: str = GRID) -> None:
    """A rule from margin to margin."""
    y = 1 - top / HEIGHT
    figure.add_artist(Line2D([MARGIN / WIDTH, 1 - MARGIN / WIDTH], [y, y], color=colour, lw=0.8))


def box(figure: Figure, left: float, top: float, width: float, height: float, colour: str, alpha: float = 1.0) -> None:
    """A filled rectangle."""
    corner = (left / WIDTH, 1 - (top + height) / HEIGHT)
    figure.add_artist(Rectangle(corner, width / WIDTH, height / HEIGHT, facecolor=colour, alpha=alpha, lw=0))


def shape(figure: Figure, x: float, y: float, marker: str, colour: str, points: float) -> None:
    """A candidate's mark, its middle at x and y."""
    figure.add_artist(Line2D([x / WIDTH], [1 - y / HEIGHT], color=colour, marker=marker, ms=points, mec="none"))


def picture(figure: Figure, jpeg: bytes, left: float, top: float, side: float) -> None:
    """A small picture, whole, in a square."""
    axes = figure.add_axes((left / WIDTH, 1 - (top + side) / HEIGHT, side / WIDTH, side / HEIGHT))
    with Image.open(io.BytesIO(jpeg)) as image:
        axes.imshow(np.asarray(image.convert("RGB")))
    axes.axis("off")


def wrapped(text: str, width: float, points: float, bold: bool = False) -> list[str]:
    """Lines of whole words, none wider than `width` inches unless a word is."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and measured(f"{lines[-1]} {word}", points, bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
