"""What is said of photos, a row each: as a table, and in a file that a stopped run goes on with."""

from __future__ import annotations

import io
import json
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from headstart.errors import HeadstartError
from headstart.results.files import read_json, reading, undefused, write_bytes, write_json, write_table, write_text
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import encodable, shown

UNSURE = "unsure"
UNLIKE = "unlike the training images"
DIGITS = 6  # of a probability, behind the point
PROBABILITY_OF = {  # the columns of a row's classes
    "label": "probability",
    "second": "second_probability",
    "third": "third_probability",
}
PART, ABOUT = ".part", ".about.json"  # what stands behind the output's name, beside it
AGAIN = "name another output, or delete it with what lies beside it"


@dataclass(frozen=True)
class Answer:
    """What is said of one photo: its class, and the next two, each with its probability; None where there are no more
    classes, or the photo could not be read. path: without control characters, what is not UTF-8 escaped. doubt: empty,
    UNSURE, UNLIKE, or why it could not be read."""

    path: str
    label: str | None = None
    probability: float | None = None
    second: str | None = None
    second_probability: float | None = None
    third: str | None = None
    third_probability: float | None = None
    doubt: str = ""

    @classmethod
    def of(
        cls, photo: Path, class_names: Sequence[str], probabilities: np.ndarray, unlike: bool, least: float
    ) -> Answer:
        """Of probabilities (C,) in the order of `class_names`; unlike: whether it is UNLIKE, which says more than being
        UNSURE; least: below which it is that."""
        first = np.argsort(-probabilities, kind="stable")[: len(PROBABILITY_OF)]
        said: dict[str, Any] = {}
        for name, place in zip(PROBABILITY_OF, first, strict=False):
            said[name] = encodable(class_names[place])
            said[PROBABILITY_OF[name]] = round(float(probabilities[place]), DIGITS)
        return cls(shown(photo), **said, doubt=UNLIKE if unlike else UNSURE if probabilities[first[0]] < least else "")

    @property
    def is_unreadable(self) -> bool:
        """Whether the photo could not be read."""
        return self.label is None


COLUMNS = tuple(each.name for each in fields(Answer))
NUMBERS = tuple(PROBABILITY_OF.values())
TEXTS = tuple(name for name in COLUMNS if name not in NUMBERS)


def table_of(answers: Sequence[Answer]) -> pd.DataFrame:
    """A row a photo, with the COLUMNS of `Answer`; what there is none of is missing."""
    return pd.DataFrame([asdict(each) for each in answers], columns=list(COLUMNS)).astype(dict.fromkeys(NUMBERS, float))


@dataclass(frozen=True)
class Format:
    """How answers are kept in a file. write: whole or not at all. read: all rows of one, as dicts."""

    write: Callable[[Path, pd.DataFrame], None]
    read: Callable[[bytes], list[dict[str, Any]]]


def _write_lines(path: Path, table: pd.DataFrame) -> None:
    write_text(path, "".join(_line(row) for row in _rows(table)))


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    write_bytes(path, table.to_parquet(index=False))


def _read_table(content: bytes) -> list[dict[str, Any]]:
    table = pd.read_csv(io.BytesIO(_whole_lines(content)), dtype=dict.fromkeys(TEXTS, str), keep_default_na=False)
    for name in NUMBERS:
        table[name] = pd.to_numeric(table[name])
    table[list(TEXTS)] = table[list(TEXTS)].map(undefused)
    return [row | {name: row[name] or None for name in PROBABILITY_OF} for row in _rows(table)]


def _read_lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _whole_lines(content).decode("utf-8").split("\n") if line]


def _read_parquet(content: bytes) -> list[dict[str, Any]]:
    return _rows(pd.read_parquet(io.BytesIO(content)))


FORMATS: Mapping[str, Format] = {
    ".csv": Format(write_table, _read_table),
    ".jsonl": Format(_write_lines, _read_lines),
    ".parquet": Format(_write_parquet, _read_parquet),
}


class Answers:
    """A file of answers, while they are given: each is kept in a file beside it at once, a line of JSON each, and the
    file itself is written whole at the end, in the order of the photos."""

    def __init__(self, output: Path, about: Mapping[str, Any], part: IO[str], kept: Sequence[Answer]):
        self.output, self.about, self.part = output, dict(about), part
        self.given = len(kept)
        self.kept: defaultdict[str, deque[Answer]] = defaultdict(deque)
        for each in kept:
            self.kept[each.path].append(each)

    def known(self, photo: Path) -> Answer | None:
        """What an earlier run said of a photo; of one that is named twice, one after the other."""
        waiting = self.kept.get(shown(photo))
        return waiting.popleft() if waiting else None

    def add(self, answers: Sequence[Answer]) -> None:
        """Keep some, so that a run that is stopped now need not compute them again."""
        self.part.write("".join(_line(asdict(each)) for each in answers))
        self.part.flush()
        self.given += len(answers)

    def write(self, answers: Sequence[Answer], **said: Any) -> None:
        """Write the file: all answers, in this order, then what was kept of photos that were not named again;
        what is `said` of them goes beside it."""
        others = [each for waiting in self.kept.values() for each in waiting]
        FORMATS[self.output.suffix.lower()].write(self.output, table_of([*answers, *others]))
        write_json(_beside(self.output, ABOUT), self.about | said)
        self.part.close()
        _beside(self.output, PART).unlink(missing_ok=True)


def written_for(output: Path) -> tuple[Path, ...]:
    """All files that stand for answers in a file: itself, and those beside it."""
    return output, _beside(output, PART), _beside(output, ABOUT)


def refuse_no_folder(output: Path) -> None:
    """Raise HeadstartError where the folder of an output is not there."""
    if not output.parent.is_dir():
        raise HeadstartError(f"{shown(output)} cannot be written: there is no folder {shown(output.parent)}; make it")


def refuse_output(output: Path, resume: bool) -> None:
    """Raise HeadstartError where answers cannot be written to a file, or would overwrite one."""
    if output.suffix.lower() not in FORMATS:
        raise HeadstartError(f"{shown(output)}: answers are written to a file that ends in {', '.join(FORMATS)}")
    refuse_no_folder(output)
    if os.path.lexists(output) and not output.is_file():
        raise HeadstartError(f"{shown(output)} is no file: name another output")
    for each in (output, _beside(output, PART)):
        if os.path.lexists(each) and not resume:
            raise HeadstartError(
                f"{shown(each)} is there already, and nothing is overwritten: --resume goes on with it, or {AGAIN}"
            )
    refuse_unwritable(output, "name another output")


@contextmanager
def answers_in(output: Path, about: Mapping[str, Any], resume: bool) -> Iterator[Answers]:
    """A file of answers to add to. about: what they depend on; HeadstartError where those that are there depend on
    something else. Whatever leaves the block has a note of what is kept."""
    refuse_output(output, resume)
    part = _beside(output, PART)
    kept = [*_kept(output, about, FORMATS[output.suffix.lower()]), *_kept(part, about, FORMATS[".jsonl"], output)]
    write_json(_beside(output, ABOUT), about)
    if part.exists():  # a line that was being written when the run was stopped would spoil the next one
        write_bytes(part, _whole_lines(part.read_bytes()))
    with part.open("a", encoding="utf-8") as file:
        answers = Answers(output, about, file, kept)
        try:
            yield answers
        except BaseException as error:
            error.add_note(f"{answers.given:,} answers are kept beside {shown(output)}: the same with --resume goes on")
            raise


def _kept(path: Path, about: Mapping[str, Any], format: Format, output: Path | None = None) -> list[Answer]:
    """The answers in a file, given by what `about` says; none where there is no such file."""
    if not os.path.lexists(path):
        return []
    before = read_json(_beside(output or path, ABOUT), AGAIN)
    if other := [name for name, value in json.loads(json.dumps(about)).items() if before.get(name) != value]:
        raise HeadstartError(f"{shown(path)} was made by another {' and '.join(other)}: {AGAIN}")
    with reading(path, AGAIN):
        return [Answer(**row) for row in format.read(path.read_bytes())]


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(output.name + ending)


def _whole_lines(content: bytes) -> bytes:
    """Without the beginning of a line that was not written to its end."""
    return content[: content.rfind(b"\n") + 1]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dicts; None for what is missing."""
    return table.astype(object).where(table.notna(), None).to_dict("records")  # type: ignore[return-value]
