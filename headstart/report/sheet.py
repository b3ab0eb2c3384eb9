"""Photos to label next, on one sheet to look at."""

from __future__ import annotations

import math
from pathlib import Path

from headstart.inference.suggest import SHEET, Suggested
from headstart.report.drawing import WIDTH, blank_canvas, place_image, png, styled
from headstart.report.lettering import drawable
from headstart.results.files import write_bytes
from headstart.runtime.text import shorten

COLUMNS, CAPTION = 8, 0.34  # inches under a photo


def write_sheet(suggested: Suggested) -> Path:
    """Write the sheet beside the CSV; returns where."""
    path = suggested.output.with_suffix(SHEET)
    write_bytes(path, _sheet(suggested))
    return path


@styled
def _sheet(suggested: Suggested) -> bytes:
    cell = WIDTH / COLUMNS - 0.02
    rows = math.ceil(len(suggested.answers) / COLUMNS)
    figure, canvas = blank_canvas(rows * (cell + CAPTION), f"{len(suggested.answers)} photos to label, with a guess")
    for number, (answer, square) in enumerate(zip(suggested.answers, suggested.squares, strict=True)):
        row, column = divmod(number, COLUMNS)
        left, top = column * cell, row * (cell + CAPTION)
        place_image(canvas, square, left, top, cell)
        guess = f"{number + 1}: {shorten(str(answer.label), 11)}?"
        canvas.text(left, top + cell + 0.1, drawable(guess, str(number + 1)), va="center", fontsize=8)
    return png(figure)
