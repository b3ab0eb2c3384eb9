"""Writing and reading the files of a run folder: a reader sees the old file or the new one, never a part of one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.errors import HeadstartError

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
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


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file, flush it to disk and rename it to `path`."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of the run folder's JSON files; HeadstartError names the file that is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HeadstartError(f"{path} is missing: {path.parent} is not a finished run") from None
    except json.JSONDecodeError as error:
        raise HeadstartError(f"{path} is not valid JSON ({error}): the run folder is damaged") from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV without its index. Text that a spreadsheet would take for a formula gets a quote before it: names of
    classes come from outside."""
    table = table.rename(columns=_defused)
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    write_text(path, table.assign(**{name: table[name].map(_defused) for name in texts}).to_csv(index=False))


def _defused(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
