"""What the screen shows while work goes on: lines and progress bars, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)

Advance = Callable[[float], None]


def say(text: str) -> None:
    """Print one line, as plain text: what looks like markup in a file or class name stays as it is."""
    console.print(escape(text), soft_wrap=True)


@contextmanager
def bar(description: str, total: float | None) -> Iterator[Advance]:
    """Show a progress bar with the time left; yields `advance(amount)`, in the units of `total`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, refresh_per_second=4, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(description, total=total)

        def advance(amount: float) -> None:
            progress.update(task, advance=amount)

        yield advance
