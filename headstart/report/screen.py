"""A Comparison as lines on standard output: the table, what to take, and what else could be taken."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from headstart.report import percent
from headstart.results import runs
from headstart.results.comparison import Comparison

WIDTH_OF_A_FILE = 120  # columns of the table where it goes to a file
COLUMNS = ("strategy", "accuracy", "95 %", "with TTA", "F1", "fit", "frozen pass", "parameters", "latency")


def print_comparison(comparison: Comparison) -> None:
    """The result: a row a strategy, which to take, why, what the others would mean, and where everything lies."""
    table = Table(title=f"{comparison.dataset['name']}: {comparison.dataset['test']:,} test images", box=box.SIMPLE)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "strategy" else "right", no_wrap=True)
    for name, row in comparison.table().iterrows():
        spread = f" ± {100 * row.accuracy_std:.2f}" if row.seeds > 1 else ""
        interval = comparison.summary[str(name)]["accuracy"]
        table.add_row(
            str(name),
            f"{100 * row.accuracy:.2f} %{spread}",
            f"{100 * interval['low']:.1f} to {100 * interval['high']:.1f}",
            f"{100 * row.accuracy_tta:.2f} %",
            f"{row.f1_macro:.4f}",
            f"{row.fit_seconds:.0f} s",
            f"{row.frozen_seconds:.0f} s",
            f"{row.parameters / 1e6:.2f} M",
            f"{row.latency_ms:.1f} ms",
            style="bold" if name == comparison.recommended else None,
        )
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, markup=False, highlight=False)
    console.print(table)
    console.print(f"Take {comparison.recommended}. {comparison.because}")
    if comparison.verdict.alternatives:
        console.print("Otherwise:")
    for alternative in comparison.verdict.alternatives:
        console.print(f"  {alternative.said}")
    if comparison.without_leaks:
        scores = ", ".join(f"{name} {100 * row['accuracy']:.2f} %" for name, row in comparison.without_leaks.items())
        console.print(f"Without the {comparison.leaked:,} test images that have duplicates in train or val: {scores}.")
    if comparison.forgetting:
        agreements = ", ".join(f"{name} {percent(row['agreement'], 0)}" for name, row in comparison.forgetting.items())
        console.print(
            f"Test images of which the backbone's old head still says the same as before training: {agreements}."
        )
    console.print(f"Report: {comparison.folder / runs.REPORT}", soft_wrap=True)
