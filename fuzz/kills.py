"""Kill a comparison by signal 9, go on with `headstart resume`, and compare every bit with one that was left alone.

    .venv/bin/python fuzz/kills.py --kills 200 --events --minutes 60

--kills: so many times, at a random moment of what it computes: half of them of two trials, half of folds and the
classifier that follows; the cache is an empty one each time. --events: at every event of a file (made, opened to be
written, flushed, renamed, removed) in the output of one trial. No more are begun after so many minutes. A kill leaves
what was written to the system: power cuts are another matter. Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tiny

from headstart.results import runs
from headstart.results.verification import verify

ENDED = "had ended before"


@dataclass(frozen=True)
class Outcome:
    """What came of one kill. kind: of moment. lost: epochs that were trained once more. differ: files with another
    bit, and what `verify` finds."""

    kind: str
    moment: str
    went_on: bool
    lost: float = 0.0
    differ: tuple[str, ...] = ()
    said: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it is not as it should be."""
        return not self.went_on or bool(self.differ) or self.lost > 1


class Comparisons:
    """Some of one of `tiny.KINDS` that are killed, beside one that was not."""

    def __init__(self, place: Path, kind: str):
        self.place, self.kind, self.batches = place, kind, tiny.Batches()
        self.whole = place / f"whole-{kind.replace(' ', '-')}" / "run"
        self.whole.parent.mkdir()
        number = tiny.forked(self._typed(self.whole), self._new_cache(), self._log, batches=self.batches)
        while not os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            self.seconds = tiny.seconds_of(number)
            time.sleep(0.01)
        if tiny.ended(number):
            raise RuntimeError(self._log.read_text())
        self.trained = self.batches.count
        trained = (runs.Run(path.parent) for path in self.whole.rglob(runs.MODEL))
        self.epoch = self.trained / sum(run.history["epoch"].max() for run in trained)  # batches

    def after(self, seconds: float) -> Outcome:
        """Killed once it has computed for so long."""
        return self._one(
            f"random moment of {self.kind}", f"{seconds:.3f} s", lambda number: tiny.killed_after(number, seconds)
        )

    def at_event(self, number: int) -> Outcome:
        """Killed before the event of this number."""
        return self._one(
            "file event", f"event {number}", lambda process: tiny.ended(process) == -signal.SIGKILL, number
        )

    def events(self) -> list[str]:
        """What happens to files of the output, in order."""
        run, log = self._new(), self.place / "events"
        tiny.ended(tiny.forked(self._typed(run), self._new_cache(), self._log, lambda: tiny.watch(run, log)))
        return log.read_text().splitlines()

    def _one(self, kind: str, moment: str, kill: Callable[[int], bool], event: int | None = None) -> Outcome:
        run, cache, before = self._new(), self._new_cache(), self.batches.count

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        first = int if event is None else lambda: tiny.watch(run, self.place / "events", event, die)
        if not kill(tiny.forked(self._typed(run), cache, self._log, first, self.batches)):
            return Outcome(kind, moment, True, said=ENDED)
        arguments = ["resume", str(run)] if (run / "request.json").exists() else self._typed(run)
        code = tiny.ended(tiny.forked(arguments, cache, self._log, batches=self.batches))
        lost = (self.batches.count - before - self.trained) / self.epoch
        if code:
            return Outcome(kind, moment, False, lost, said=self._log.read_text().strip().splitlines()[-1])
        return Outcome(kind, moment, True, lost, (*tiny.differences(self.whole, run), *verify(run)))

    def _typed(self, run: Path) -> list[str]:
        return tiny.compare(self.place / "photos", run, self.kind)

    def _new(self) -> Path:
        shutil.rmtree(self.place / "killed", ignore_errors=True)
        (self.place / "killed").mkdir()
        return self.place / "killed" / "run"

    def _new_cache(self) -> Path:
        """An empty one, but for the probes by which engines are chosen."""
        cache = self.place / "cache-of-one"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(self.place / "cache" / "probes", cache / "probes")
        return cache

    @property
    def _log(self) -> Path:
        return self.place / "said.log"


def soak(place: Path, kills: int, events: int | None, minutes: float) -> Iterator[Outcome]:
    """Yield what came of each kill. place: where all is warm. events: so many of them, evenly chosen (None:
    all)."""
    until, chance = time.monotonic() + 60 * minutes, random.Random(0)
    if events is None or events:
        one = Comparisons(place, tiny.ONE)
        there = one.events()
        chosen = (
            range(len(there)) if events is None else [len(there) * (2 * n + 1) // (2 * events) for n in range(events)]
        )
        for number in chosen:
            if time.monotonic() < until:
                yield one.at_event(number)
    for kind, times in ((tiny.TWO, kills - kills // 2), (tiny.FOLDS, kills // 2)):
        some = Comparisons(place, kind) if times else None
        for _ in range(times):
            if some is not None and time.monotonic() < until:
                yield some.after(chance.uniform(0, some.seconds))


def table(found: Sequence[Outcome]) -> str:
    """What came of them: a row a kind."""
    rows = ["| at | killed | went on | differ in a bit | most epochs trained again |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(each.kind for each in found):
        killed = [each for each in found if each.kind == kind and each.said != ENDED]
        went_on, differ = sum(each.went_on for each in killed), sum(bool(each.differ) for each in killed)
        lost = max((each.lost for each in killed), default=0.0)
        rows.append(f"| {kind} | {len(killed)} | {went_on} | {differ} | {lost:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Soak, tell of what is wrong as it is found, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", action="store_true")
    parser.add_argument("--minutes", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tiny.warm(place := Path(folder).resolve())
        tiny.tell(soak(place, asked.kills, None if asked.events else 0, asked.minutes), table)


if __name__ == "__main__":
    main()
