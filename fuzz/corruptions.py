"""Damage one file of a finished folder at a time, and see whether `headstart verify` finds it.

    .venv/bin/python fuzz/corruptions.py --corruptions 1600 --minutes 30

Each file in turn has a bit flipped, is cut, changes places with another one, is deleted, or is made a pickle that would
run a program if anything read it as one. Every so often nothing is done, and `verify` has to find nothing.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny

from headstart.errors import HeadstartError
from headstart.results.verification import verify

RUNS_SOMETHING = {"pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"}


@dataclass(frozen=True)
class Outcome:
    """What came of one. ran: what was executed meanwhile. said: the first finding."""

    kind: str
    name: str
    found: bool
    ran: tuple[str, ...] = ()
    said: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it is not as it should be."""
        return self.found == (self.kind == nothing.__name__) or bool(self.ran)


class Payload:
    """Runs a program when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def flip(path: Path, others: Sequence[Path], chance: random.Random) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, others: Sequence[Path], chance: random.Random) -> None:
    """Take its end away, or all of it."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def swap(path: Path, others: Sequence[Path], chance: random.Random) -> None:
    """Let it change places with a file of another content."""
    content = path.read_bytes()
    other = chance.choice([each for each in others if each.read_bytes() != content])
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


def delete(path: Path, others: Sequence[Path], chance: random.Random) -> None:
    """Remove it."""
    path.unlink()


def pickled(path: Path, others: Sequence[Path], chance: random.Random) -> None:
    """Put a program in its place."""
    path.write_bytes(pickle.dumps(Payload()))


def nothing(path: Path, others: Sequence[Path], chance: random.Random) -> None:
    """Leave it."""


DAMAGES: tuple[Callable[[Path, Sequence[Path], random.Random], None], ...] = (flip, cut, swap, delete, pickled)
ROUND = (*DAMAGES * 4, nothing)


def soak(folder: Path, corruptions: int, minutes: float) -> Iterator[Outcome]:
    """Yield what came of each. folder: a finished one; it is as it was afterwards."""
    until, chance = time.monotonic() + 60 * minutes, random.Random(0)
    whole = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    files, ran = list(whole), []
    sys.addaudithook(lambda event, _: ran.append(event) if event in RUNS_SOMETHING else None)
    done = 0
    for number in range(corruptions + corruptions // len(DAMAGES * 4)):
        if time.monotonic() > until:
            return
        do, path = ROUND[number % len(ROUND)], files[done // len(DAMAGES) % len(files)]
        done += do is not nothing
        do(path, files, chance)
        yield _verified(do.__name__, folder, path, ran)
        for each, content in whole.items():
            if not each.exists() or each.read_bytes() != content:
                each.write_bytes(content)


def _verified(kind: str, folder: Path, path: Path, ran: list[str]) -> Outcome:
    name = path.relative_to(folder).as_posix()
    ran.clear()
    try:
        findings = verify(folder)
    except HeadstartError as error:
        findings = [str(error)]
    except Exception as error:
        return Outcome(kind, name, kind == nothing.__name__, (*ran,), f"raised {type(error).__name__}: {error}")
    return Outcome(kind, name, bool(findings), (*ran,), findings[0] if findings else "")


def table(found: Sequence[Outcome]) -> str:
    """What came of them: a row a kind."""
    rows = ["| what was done | files | times | findings of verify | something was run |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(each.kind for each in found):
        some = [each for each in found if each.kind == kind]
        files, ran = len({each.name for each in some}), sum(bool(each.ran) for each in some)
        rows.append(f"| {kind} | {files} | {len(some)} | {sum(each.found for each in some)} | {ran} |")
    return "\n".join(rows)


def main() -> None:
    """Soak, tell of what is wrong as it is found, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corruptions", type=int, default=1600)
    parser.add_argument("--minutes", type=float, default=30)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tiny.tell(soak(tiny.finished(Path(place).resolve()), asked.corruptions, asked.minutes), table)


if __name__ == "__main__":
    main()
