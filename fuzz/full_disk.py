"""Fill a small disk in the middle of a comparison: what it says, what survives, and whether it goes on with room.

    .venv/bin/python fuzz/full_disk.py --points 20 --minutes 30

A disk of 64 MB in memory is the output, then the cache, and is filled to the last byte before some event of a file
there, evenly chosen. Of a full output: the command has to end in one line with exit code 1, or do without what it could
not write; every run that was finished has to stay as it was; with room made, `headstart resume` has to end as if
nothing had been. With a full cache the command has to end well at once. Linux, as root: a disk is mounted.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tiny

SIZE = "64m"
OUTPUT, CACHE = "output", "cache"
BLOCK = 2**16


@dataclass(frozen=True)
class Outcome:
    """What came of filling one. said: its last line, or what it said of the cache. before, kept: finished runs when it
    was filled, and of them those that are as they were. differ: files with another bit in the end."""

    kind: str
    event: str
    code: int
    said: str
    before: int
    kept: int
    went_on: bool
    differ: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether it is not as it should be."""
        ended = self.code == 0 or (self.kind == OUTPUT and self.code == 1 and self.said.startswith("headstart: "))
        return not ended or self.kept < self.before or not self.went_on or bool(self.differ)


@contextmanager
def disk(place: Path) -> Iterator[Path]:
    """A disk in memory; OSError or CalledProcessError where none may be mounted."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def is_possible(place: Path) -> bool:
    """Whether a disk may be mounted here."""
    try:
        with disk(place / "disk"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill(filler: Path) -> None:
    """Take all the room that a disk has."""
    for size in (BLOCK, 1):
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(bytes(size)):
                pass


def soak(place: Path, points: int, minutes: float) -> Iterator[Outcome]:
    """Yield what came of each. place: where all is warm. points: of the output, and as many of the cache."""
    until = time.monotonic() + 60 * minutes
    whole, log = place / "first", place / "events"
    for kind in (OUTPUT, CACHE):
        with disk(place / f"disk-{kind}") as there:
            watched = there / kind
            command, cache, _ = _typed(place, there, kind)
            tiny.ended(tiny.forked(command, cache, place / "log", partial(tiny.watch, watched, log)))
            events = log.read_text().splitlines()
            for point in range(points):
                if time.monotonic() < until:
                    yield _one(place, there, kind, len(events) * (2 * point + 1) // (2 * points), events, whole)


def _typed(place: Path, there: Path, kind: str) -> tuple[list[str], Path, Path]:
    """The command, its cache and its output: all of them new."""
    run = (there if kind == OUTPUT else place) / OUTPUT
    cache = (there if kind == CACHE else place) / CACHE / "new"
    for old in (run, cache, there / "filler"):
        shutil.rmtree(old, ignore_errors=True)
    (there / "filler").unlink(missing_ok=True)
    (there / kind).mkdir(exist_ok=True)
    shutil.copytree(place / "cache" / "probes", cache / "probes")
    return tiny.compare(place / "photos", run), cache, run


def _one(place: Path, there: Path, kind: str, number: int, events: Sequence[str], whole: Path) -> Outcome:
    command, cache, run = _typed(place, there, kind)
    log, copies = place / "log", place / "copies"
    shutil.rmtree(copies, ignore_errors=True)

    def full() -> None:
        for metrics in run.glob("*/*/metrics.json"):
            shutil.copytree(metrics.parent, copies / metrics.parent.relative_to(run))
        fill(there / "filler")

    code = tiny.ended(
        tiny.forked(command, cache, log, lambda: tiny.watch(there / kind, place / "unused", number, full))
    )
    said = log.read_text().splitlines()
    line = next((each for each in said if kind == CACHE and "cache" in each), said[-1])
    before = [each.parent.relative_to(copies) for each in copies.glob("*/*/metrics.json")]
    kept = sum(not tiny.differences(copies / each, run / each) for each in before)
    (there / "filler").unlink()
    if kind == OUTPUT:
        again = ["resume", str(run)] if (run / "request.json").exists() else command
        went_on = tiny.ended(tiny.forked(again, cache, log)) == 0
    else:
        went_on = code == 0
    differ = tuple(tiny.differences(whole, run)) if went_on else ()
    text = re.sub(r"log: \S+", "log: ...", line).replace(f"{place}/", "")
    return Outcome(kind, events[number], code, text, len(before), kept, went_on, differ)


def table(found: Sequence[Outcome]) -> str:
    """What came of them: a row each, then a row a kind."""
    rows = [
        "| full | before | exit code | said | finished runs kept | went on, same bits |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        same = "yes" if each.went_on and not each.differ else "NO"
        rows.append(
            f"| {each.kind} | {each.event} | {each.code} | {each.said} | {each.kept} of {each.before} | {same} |"
        )
    for kind in dict.fromkeys(each.kind for each in found):
        some = [each for each in found if each.kind == kind]
        rows.append(f"\n{kind}: {len(some)} points, {sum(each.is_wrong for each in some)} of them wrong")
    return "\n".join(rows)


def main() -> None:
    """Soak, tell of what is wrong as it is found, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=30)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        if not is_possible(place):
            print("skipped: no disk may be mounted here (Linux, as root)")
            return
        tiny.warm(place)
        tiny.tell(soak(place, asked.points, asked.minutes), table)


if __name__ == "__main__":
    main()
