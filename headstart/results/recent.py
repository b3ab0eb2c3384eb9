"""What was done last, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.runtime.text import shown

FIRST = (
    ("headstart check photos/", "is anything wrong with them? A folder a class: photos/cat, photos/dog"),
    ("headstart compare photos/", "does a pre-trained network help, and how much of it to retrain?"),
    ("headstart compare", "the same on CIFAR-10"),
)
AFTER = (
    ("headstart predict {} new/ -o answers.csv", "classes for other photos"),
    ("headstart export {} --to web", "one HTML file to send around, which classifies offline"),
    ("headstart slides {}", "the conclusions as a presentation"),
)
HELP = ("headstart --help", "all commands")


def next_steps(root: Path = runs.ROOT) -> list[str]:
    """Lines that say what was done last below a folder, if anything was, and which commands come next."""
    asked = sorted(root.glob(f"*/{runs.REQUEST}"), key=lambda each: each.stat().st_mtime)
    if not asked:
        return _commands([*FIRST, HELP])
    folder = asked[-1].parent
    name = shown(folder)
    if not runs.is_finished(folder):
        resume = (f"headstart resume {name}", "goes on with it")
        return [f"Last: {name}, which is not finished", *_commands([resume, HELP])]
    after = AFTER if (taken := _recommended(folder)) else ()
    page = folder / runs.REPORT
    told = f"Last: {name}" + (f"; take {taken}" if taken else "") + (f": {shown(page)}" if page.exists() else "")
    return [
        told,
        *_commands([(each.format(name), why) for each, why in after] + [HELP]),
    ]


def _recommended(folder: Path) -> str | None:
    """The candidate that a finished comparison says to take; None of a learning curve, or where it cannot be read."""
    try:
        found = runs.read_beside(folder, runs.COMPARISON)
    except HeadstartError:
        return None
    return None if found is None else found.get("recommended")


def _commands(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(command) for command, _ in rows)
    return [f"  {command:{width}}  # {why}" for command, why in rows]
