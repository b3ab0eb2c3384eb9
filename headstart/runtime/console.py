"""What the screen shows while work goes on: lines, progress bars and the live view of a comparison, on standard error.

Where standard error is no terminal, there are lines alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Screen(Console):
    """A console whose reader may go away: that is told by the exception, as Python has it, and ends nothing here. What
    stands between colons in a name is no emoji."""

    def __init__(self, **options: Any):
        super().__init__(emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Called where a BrokenPipeError was raised; rich's own ends the process."""
        raise


# A notebook calls itself a terminal, shows standard error in red, and would get an output a line: it gets plain text.
IN_NOTEBOOK = Console().is_jupyter
console = Screen(
    stderr=not IN_NOTEBOOK, force_terminal=False if IN_NOTEBOOK else None, force_jupyter=False, highlight=False
)

OTHER_LINES = 6  # of the terminal, that the live view leaves to other bars and to what was said last

Advance = Callable[[float], None]


def say(text: str) -> None:
    """Print one line, as plain text: what looks like markup in a file or class name stays as it is."""
    console.print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """Print one line where there is no live view to show the same."""
    if not console.is_interactive:
        say(text)


@contextmanager
def quiet(really: bool = True) -> Iterator[None]:
    """While nothing is printed, neither lines nor bars, where `really`."""
    before, console.quiet = console.quiet, console.quiet or really
    try:
        yield
    finally:
        console.quiet = before


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
    with _progress(*columns) as progress:
        task = progress.add_task(description, total=total)

        def advance(amount: float) -> None:
            progress.update(task, advance=amount)

        yield advance


def _progress(*columns: Any) -> Progress:
    return Progress(*columns, console=console, transient=True, refresh_per_second=4, disable=not console.is_interactive)


@dataclass(eq=False)
class Job:
    """One run of a comparison. kind: what runs of about the same time an epoch share. epochs: planned, at most. done:
    those that are over, the part of the present one too. told: those that `fit` has told of."""

    name: str
    kind: str
    epochs: float
    done: float = 0.0
    told: float = 0
    is_over: bool = False

    @property
    def planned(self) -> float:
        """How many epochs it has at most; one that stopped early had no more than it did."""
        return self.done if self.is_over else self.epochs


def seconds_left(jobs: Sequence[Job], epoch_seconds: Mapping[str, float]) -> float | None:
    """How long the epochs that are still planned will take: the most, for training may stop early.

    epoch_seconds: kind -> seconds of an epoch, measured. None where a kind that is still to train lacks it: one kind's
    epochs say nothing of another's.
    """
    left = [job for job in jobs if job.planned > job.done]
    if any(job.kind not in epoch_seconds for job in left):
        return None
    return sum((job.planned - job.done) * epoch_seconds[job.kind] for job in left)


class Board:
    """The live view of a comparison: a bar a run, with its latest accuracy on val, and one for all of them."""

    def __init__(self, jobs: Sequence[Job], epoch_seconds: Mapping[str, float], progress: Progress):
        self.jobs, self.epoch_seconds, self.progress = jobs, dict(epoch_seconds), progress
        self.tasks = [progress.add_task(job.name, start=False, epochs="", said="") for job in jobs]
        self.all = progress.add_task("all", epochs="", said="")
        for job in jobs:
            self._show(job)
        self._show_window(0)

    @contextmanager
    def running(self, job: Job) -> Iterator[None]:
        """While a run trains."""
        place = self.jobs.index(job)
        self._show_window(place)
        self.progress.start_task(self.tasks[place])
        yield
        job.is_over = True
        self.progress.stop_task(self.tasks[place])
        self._show(job)

    def advance(self, job: Job, epochs: float) -> None:
        """A part of an epoch is over."""
        job.done += epochs
        self._show(job)

    def validated(self, job: Job, row: Mapping[str, Any]) -> None:
        """One or more whole epochs are over; row: what `fit` says of them."""
        self.epoch_seconds[job.kind] = row["seconds"] / (row["epoch"] - job.told)
        job.done = job.told = row["epoch"]
        said = f"val accuracy {100 * row['val_accuracy']:.2f} %"
        self.progress.update(self.tasks[self.jobs.index(job)], said=said)
        self._show(job)

    def _show(self, job: Job) -> None:
        self._draw(self.tasks[self.jobs.index(job)], job.done, job.planned)
        seconds = seconds_left(self.jobs, self.epoch_seconds)
        said = "time left not known yet"
        if seconds is not None:
            said = f"{timedelta(seconds=round(seconds))} of training left at most"
        self._draw(self.all, sum(each.done for each in self.jobs), sum(each.planned for each in self.jobs))
        self.progress.update(self.all, said=said)

    def _draw(self, task: TaskID, done: float, planned: float) -> None:
        self.progress.update(task, completed=done, total=planned, epochs=f"{int(done)}/{planned:g} epochs")

    def _show_window(self, place: int) -> None:
        """Of more runs than the terminal has lines, those about the one at `place`."""
        room = max(1, console.height - OTHER_LINES)
        first = max(0, min(place - 1, len(self.jobs) - room))
        for each, task in enumerate(self.tasks):
            self.progress.update(task, visible=first <= each < first + room)


@contextmanager
def live(jobs: Sequence[Job], epoch_seconds: Mapping[str, float]) -> Iterator[Board]:
    """Show a comparison while it goes on. epoch_seconds: kind -> seconds of an epoch, where already measured."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[epochs]}", justify="right"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with _progress(*columns) as progress:
        yield Board(jobs, epoch_seconds, progress)
