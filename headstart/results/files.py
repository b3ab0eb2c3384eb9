"""Writing and reading the files of a run folder: a reader sees the old file or the new one, never a part of one, and
whatever became of a file since is one line that names it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.npyio import NpzFile
from safetensors.numpy import load

from headstart.errors import HeadstartError
from headstart.runtime.places import TEMPORARY as TEMPORARY
from headstart.runtime.places import write_bytes as write_bytes
from headstart.runtime.text import shorten, shown

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
ONE_OF_A_RUN = "bring back the one that was written, or take its run out of the folder"
LONGEST = 120  # letters of what a reader says of a damaged file
DIGITS = 10  # docs/decisions/verification.md


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` so that a reader sees the old file or the new one, never a part of one."""
    write_text(path, json_text(content))


def json_text(content: Mapping[str, Any]) -> str:
    """How JSON is written here: numbers to DIGITS figures, so that another processor or version gives the same text."""
    plain = json.dumps(content, indent=2, allow_nan=False)
    rounded = json.loads(plain, parse_float=lambda number: float(f"{float(number):.{DIGITS}g}"))
    return json.dumps(rounded, indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


class Saved(dict[str, Any]):
    """What a file holds, by name; HeadstartError, which names the file and says what to do instead, for a name that it
    lacks."""

    path, instead = Path(), ONE_OF_A_RUN

    def __missing__(self, name: str) -> Any:
        raise HeadstartError(f"{self.path} says nothing of {name!r}: {self.instead}")


def read_json(path: Path, instead: str = ONE_OF_A_RUN) -> Saved:
    """Read one of the run folder's JSON files, whose content is an object; HeadstartError, with what to do `instead`,
    where it is missing, cannot be read or holds something else, and as soon as what is read lacks a name."""

    def saved(pairs: dict[str, Any]) -> Saved:
        found = Saved(pairs)
        found.path, found.instead = path, instead
        return found

    with reading(path, instead):
        content = json.loads(path.read_bytes().decode("utf-8"), object_hook=saved)
        if not isinstance(content, Saved):
            raise ValueError(f"it holds a {type(content).__name__}, no object")
    return content


def read_arrays(path: Path, instead: str = ONE_OF_A_RUN) -> Saved:
    """Read all arrays of one of the run folder's .npz files; raises as `read_json` does."""
    with reading(path, instead), np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
        if not isinstance(saved, NpzFile):
            raise ValueError("it holds one array")
        found = Saved({name: saved[name] for name in saved.files})
    found.path, found.instead = path, instead
    return found


def read_tensors(path: Path, instead: str = ONE_OF_A_RUN) -> Saved:
    """Read all arrays of one of the run folder's .safetensors files; raises as `read_json` does."""
    with reading(path, instead):
        found = Saved(load(path.read_bytes()))
    found.path, found.instead = path, instead
    return found


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """Read one of the run folder's CSVs that has at least these columns, and a row; raises as `read_json` does."""
    with reading(path):
        table = pd.read_csv(path)
        if not {*columns} <= {*table.columns} or table.empty:
            raise ValueError(f"it has no column {', '.join(columns)} with something in it")
    return table


@contextmanager
def reading(path: Path, instead: str = ONE_OF_A_RUN) -> Iterator[None]:
    """While one file of a run folder is read: HeadstartError, which names it and says what to do, for all that its
    content or its absence makes a reader raise."""
    try:
        yield
    except (HeadstartError, MemoryError):
        raise
    except FileNotFoundError:
        raise HeadstartError(f"{shown(path)} is missing: {instead}") from None
    except OSError as error:
        raise HeadstartError(f"{shown(path)} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # damaged bytes make readers raise almost anything
        what = "it is empty" if path.stat().st_size == 0 else " ".join(f"{error}".split()) or type(error).__name__
        raise HeadstartError(f"{shown(path)} is damaged ({shorten(what, LONGEST)}): {instead}") from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV, whole or not at all: in UTF-8, with the mark by which spreadsheets know that where they need to."""
    text = table_text(table)
    write_bytes(path, text.encode("utf-8" if text.isascii() else "utf-8-sig"))


def table_text(table: pd.DataFrame) -> str:
    """How a CSV is written here, without its index. Text that a spreadsheet would take for a formula gets a quote
    before it: names of classes come from outside."""
    table = table.rename(columns=_defused)
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{name: table[name].map(_defused) for name in texts}).to_csv(index=False)


def _defused(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def undefused(cell: Any) -> Any:
    """A cell as it was before `table_text` took care that it is no formula."""
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
