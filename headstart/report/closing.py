"""The last slides: what to take and why, how sure that is, what to be careful about."""

from __future__ import annotations

from matplotlib.figure import Figure

from headstart.report import words
from headstart.report.drawing import WIDTH, colours
from headstart.report.lettering import fitting
from headstart.report.reading import means_of
from headstart.report.slide import MARGIN, blank, paragraph, table
from headstart.report.tables import DIFFERENCES, Cell, difference_rows, key_numbers
from headstart.results.comparison import Comparison
from headstart.theme import INK, MUTED


def verdict(comparison: Comparison) -> Figure:
    """What to take, and why."""
    slide = blank("The verdict")
    colour = colours(comparison)[comparison.recommended]
    taken = f"{'Take ' if len(means_of(comparison)) > 1 else ''}{comparison.recommended}"
    points = fitting(taken, WIDTH - 2 * MARGIN, 30, bold=True)
    top = paragraph(slide, taken, 0.95, width=WIDTH, points=points, bold=True, colour=colour) + 0.1
    top = paragraph(slide, words.decision(comparison), top, points=12.5) + 0.35
    width = (WIDTH - 2 * MARGIN) / 4
    for place, (what, cell) in enumerate(key_numbers(comparison).items()):
        left = MARGIN + place * width
        below = paragraph(slide, cell.text, top, left, width, points=16, bold=True)
        below = paragraph(slide, what, below, left, width - 0.1, points=9, colour=MUTED)
        paragraph(slide, cell.remark, below, left, width - 0.1, points=8, colour=MUTED)
    return slide


def sure(comparison: Comparison) -> Figure:
    """What of the verdict is sure: every candidate beside the one that is taken."""
    slide = blank("How sure that is")
    top = paragraph(slide, words.doubts(comparison), 0.9, points=9.5) + 0.1
    rows = [[name, *map(_in_a_line, cells)] for name, cells in difference_rows(comparison).items()]
    top = table(slide, [["", *DIFFERENCES], *rows], top, [INK] * (1 + len(DIFFERENCES)), points=9)
    paragraph(slide, words.DIFFERENCES, top + 0.06, points=7.5, colour=MUTED)
    return slide


def _in_a_line(cell: Cell) -> str:
    """A cell with its remark, where that is an interval."""
    return f"{cell.text} ({cell.remark})" if " to " in cell.remark else cell.text


def cautions() -> Figure:
    """What no number tells."""
    slide, top = blank("What to be careful about"), 1.0
    for what, why in words.CAUTIONS.items():
        top = paragraph(slide, what, top, points=10.5, bold=True)
        top = paragraph(slide, why, top, points=10, colour=MUTED) + 0.14
    return slide
