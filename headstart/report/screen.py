"""A Comparison as lines on standard output: the table, what to take, and what else could be taken."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from headstart.evaluation.scores import SCREEN, Score, shown_in
from headstart.report import WRITERS, percent
from headstart.report.words import absent, folded, ranked, shortened, without_leaks
from headstart.results import runs
from headstart.results.comparison import Comparison
from headstart.runtime.console import Screen
from headstart.runtime.text import shown

if TYPE_CHECKING:
    from headstart.inference.predict import Predicted  # which imports torch

WIDTH_OF_A_FILE = 120  # columns of text that goes to a file
WIDEST = 10_000  # columns of a table there, which takes what its numbers need
INTERVAL = "95 %"  # the column behind that of a score that has an interval


def _cells(score: Score, row: pd.Series, summary: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What one candidate's row says of a score; a share of images with its spread over seeds and its interval."""
    text = WRITERS[score.written](row[score.key])
    if score.key != "accuracy":
        return [text]
    bounds = summary[score.key]
    spread = f" ± {100 * bounds['std']:.2f}" if row.runs > 1 else ""
    return [text + spread, f"{100 * bounds['low']:.1f} to {100 * bounds['high']:.1f}"]


def print_comparison(comparison: Comparison) -> None:
    """The result: a row a candidate, which to take, why, what the others would mean, and where everything lies."""
    scores = shown_in(SCREEN)
    titles = [
        "strategy",
        *(each for score in scores for each in (score.short, *([INTERVAL] if score.key == "accuracy" else []))),
    ]
    rows = [
        [str(name), *(cell for score in scores for cell in _cells(score, row, comparison.summary[str(name)]))]
        for name, row in comparison.table().iterrows()
    ]
    of_table, console = (
        Screen(width=None if sys.stdout.isatty() else width, markup=False, highlight=False)
        for width in (WIDEST, WIDTH_OF_A_FILE)
    )
    title = f"{comparison.dataset['name']}: {comparison.dataset['test']:,} test images"
    print_table(of_table, title, titles, rows, bold=comparison.recommended)
    console.print(f"Take {comparison.recommended}. {comparison.because}")
    for line in (*folded(comparison), *ranked(comparison.probed, comparison.verdict.metric), *absent(comparison)):
        console.print(line)
    if comparison.verdict.alternatives:
        console.print("Otherwise:")
    for alternative in comparison.verdict.alternatives:
        console.print(f"  {alternative.said}")
    if leaks := without_leaks(comparison.leaked, comparison.without_leaks):
        console.print(leaks)
    if comparison.forgetting:
        agreements = ", ".join(f"{name} {percent(row['agreement'], 0)}" for name, row in comparison.forgetting.items())
        console.print(
            f"Test images of which the backbone's old head still says the same as before training: {agreements}."
        )
    for line in shortened(comparison):
        console.print(line, soft_wrap=True)
    console.print(f"Report: {comparison.folder / runs.REPORT}", soft_wrap=True)


def print_table(
    console: Console, title: str, titles: Sequence[str], rows: Sequence[Sequence[str]], bold: str | None = None
) -> None:
    """Print a table, below each other in parts of which each has the first column where the console is too narrow for
    all of it. bold: the first cell of a row that stands out."""

    def part(columns: Sequence[int]) -> Table:
        table = Table(title=None if printed else title, box=box.SIMPLE)
        for column in (0, *columns):
            table.add_column(titles[column], justify="right" if column else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(row[column] for column in (0, *columns)), style="bold" if row[0] == bold else None)
        return table

    printed, columns = False, [1]
    unlimited = console.options.update(width=WIDEST)
    for column in range(2, len(titles)):
        if console.measure(part([*columns, column]), options=unlimited).maximum > console.width:
            console.print(part(columns))
            printed, columns = True, []
        columns.append(column)
    console.print(part(columns))


def print_predicted(predicted: Predicted, output: Path | None) -> None:
    """A row a photo, where they are not in a file, and a last line that counts."""
    width = None if sys.stdout.isatty() else WIDEST
    console = Screen(width=width, markup=False, highlight=False)
    if output is None:
        table = Table(box=box.SIMPLE)
        table.add_column("photo", overflow="fold")
        for title in ("class", "", "next", "", "then", "", "doubt"):
            table.add_column(title, justify="left" if title else "right", overflow="fold")
        for each in predicted.answers:
            named = (each.label, each.second, each.third)
            shares = (each.probability, each.second_probability, each.third_probability)
            cells = [
                cell
                for name, share in zip(named, shares, strict=True)
                for cell in ((shown(name), percent(share, 1)) if name is not None else ("", ""))
            ]
            table.add_row(each.path, *cells, each.doubt)
        console.print(table)
    console.print(predicted.said + (f"; written to {shown(output)}" if output else ""), soft_wrap=True)
