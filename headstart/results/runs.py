"""The run folder: the only seam after training, and the only file that knows its file names.

    runs/cifar10-1/
      comparison.json  comparison.csv  audit.json  examples.npz  report.html  slides.pdf  SHA256SUMS
      <strategy>/seed<n>/  config.json history.csv metrics.json predictions.npz model.safetensors environment.json
      figures/             *.png

    runs/cifar10-curve-1/
      curve.json  curve.csv  curve.png  SHA256SUMS
      <training images>/   as above

Every file and every run gets there whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.errors import HeadstartError
from headstart.runtime.cache import temporary_folder

COMPARISON = "comparison.json"
TABLE = "comparison.csv"
AUDIT = "audit.json"
REPORT = "report.html"
SLIDES = "slides.pdf"
EXAMPLES = "examples.npz"
CHECKSUMS = "SHA256SUMS"
FIGURES = "figures"
CONFIG = "config.json"
HISTORY = "history.csv"
METRICS = "metrics.json"
PREDICTIONS = "predictions.npz"
MODEL = "model.safetensors"
ENVIRONMENT = "environment.json"
CURVE = "curve.json"
CURVE_TABLE = "curve.csv"
CURVE_FIGURE = "curve.png"

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
DIGITS = 10  # docs/decisions/verification.md


@dataclass(frozen=True)
class Run:
    """One strategy trained with one seed, as its folder tells it. Nothing here needs a model or torch."""

    folder: Path

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return self.folder.parent.name

    @property
    def config(self) -> dict[str, Any]:
        """What was asked for: strategy, recipe, network, seed, data, device."""
        return read_json(self.folder / CONFIG)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: epoch, seconds, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate."""
        return pd.read_csv(self.folder / HISTORY)

    @property
    def metrics(self) -> dict[str, Any]:
        """What came out: scores on test, seconds, sizes."""
        return read_json(self.folder / METRICS)

    @property
    def model(self) -> Path:
        """The file of trained weights."""
        return self.folder / MODEL

    def predictions(self, split: str = "test") -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Logits (N, C) float32 and labels (N,) int64 on "test" or "val", and the C class names."""
        prefix = "" if split == "test" else f"{split}_"
        with (self.folder / PREDICTIONS).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return saved[f"{prefix}logits"], saved[f"{prefix}labels"], [str(name) for name in saved["class_names"]]

    def averaged_logits(self) -> np.ndarray:
        """(N, C) float32: the mean of the logits of each test image over the recipe's test views."""
        with (self.folder / PREDICTIONS).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            return saved["averaged_logits"]


@dataclass(frozen=True)
class Pictures:
    """What a report shows of the data itself, kept so that it can be made again without the data.

    tests: index in test -> a small JPEG. samples: (label, small JPEG) of training images. suspects: a small JPEG for
    each of the comparison's label suspects. counts: (3, C) images of each class in train, val and test. heats:
    (strategy, index in test, class) -> a small JPEG of that image, with the places that spoke for that class warm.
    """

    tests: Mapping[int, bytes]
    samples: Sequence[tuple[int, bytes]]
    suspects: Sequence[bytes]
    counts: np.ndarray
    heats: Mapping[tuple[str, int, int], bytes]


def new_folder(dataset: str, output: Path | None = None, root: Path = Path("runs")) -> Path:
    """Make an empty folder for a comparison: `output`, or the next free number under `root`.

    Raises HeadstartError when `output` already holds something.
    """
    if output is not None:
        refuse_taken(output)
        output.mkdir(parents=True, exist_ok=True)
        return output
    root.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(dataset) + r"-(\d+)")
    taken = [int(match[1]) for path in root.iterdir() if (match := pattern.fullmatch(path.name))]
    number = max(taken, default=0) + 1
    while True:  # another process may take a number between the look and the making
        try:
            (folder := root / f"{dataset}-{number}").mkdir()
            return folder
        except FileExistsError:
            number += 1


def refuse_taken(output: Path) -> None:
    """Raise HeadstartError when `output` is a file, or a folder that holds something: no run is ever overwritten."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise HeadstartError(f"{output} is not an empty folder: name a new one with --output, nothing is overwritten")


@contextmanager
def new_run(comparison: Path, strategy: str, seed: int) -> Iterator[Path]:
    """A folder to write one run's files in; it takes its place in `comparison` when the block ends without an error."""
    place = comparison / strategy / f"seed{seed}"
    with temporary_folder(comparison / strategy) as folder:
        yield folder
        place.parent.mkdir(exist_ok=True)
        folder.chmod(0o755)
        folder.rename(place)


def find_runs(comparison: Path) -> list[Run]:
    """Every finished run below a comparison's folder, by strategy and seed."""
    return [Run(path.parent) for path in sorted(comparison.glob(f"*/seed*/{METRICS}"), key=_natural)]


def _natural(path: Path) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def folder_of_size(curve: Path, train_images: int) -> Path:
    """Where a learning curve keeps its comparison with so many training images."""
    return curve / str(train_images)


def finished_sizes(curve: Path) -> list[int]:
    """With how many training images the comparisons of a learning curve are finished, smallest first."""
    return sorted(int(path.name) for path in curve.iterdir() if path.name.isdigit() and is_finished(path))


def write_predictions(
    folder: Path,
    class_names: Sequence[str],
    *,
    test: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    averaged: np.ndarray | None = None,
) -> None:
    """Keep logits (N, C) and labels (N,) of test and val, and class names: all that a score can be recomputed from.

    averaged: (N, C) the mean of test's logits over several views; where there is one view, it is those of test.
    """
    np.savez(
        folder / PREDICTIONS,
        logits=test[0].astype(np.float32),
        labels=test[1].astype(np.int64),
        averaged_logits=(test[0] if averaged is None else averaged).astype(np.float32),
        val_logits=val[0].astype(np.float32),
        val_labels=val[1].astype(np.int64),
        class_names=np.array(class_names, dtype=np.str_),
    )


def write_pictures(comparison: Path, pictures: Pictures) -> None:
    """Keep small pictures in the comparison's folder, the bytes of one after those of another."""
    samples = [jpeg for _, jpeg in pictures.samples]
    files = [*pictures.tests.values(), *samples, *pictures.suspects, *pictures.heats.values()]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        tests=np.array(list(pictures.tests), np.int64),
        sample_labels=np.array([label for label, _ in pictures.samples], np.int64),
        counts=pictures.counts,
        heat_strategies=np.array([strategy for strategy, _, _ in pictures.heats], np.str_),
        heat_places=np.array([place for _, *place in pictures.heats], np.int64).reshape(-1, 2),
        ends=np.cumsum([len(file) for file in files], dtype=np.int64),
        jpegs=np.frombuffer(b"".join(files), np.uint8),
    )
    write_bytes(comparison / EXAMPLES, buffer.getvalue())


def read_pictures(comparison: Path) -> Pictures | None:
    """The small pictures of a comparison; None where it has none. HeadstartError where the file is damaged."""
    path = comparison / EXAMPLES
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
            tests, labels, counts, ends = (saved[name] for name in ("tests", "sample_labels", "counts", "ends"))
            content = saved["jpegs"].tobytes()
            heats: list[tuple[str, int, int]] = []
            if "heat_places" in saved:  # those of an older headstart lack them
                names, places = saved["heat_strategies"].tolist(), saved["heat_places"].tolist()
                heats = [(name, image, taken) for name, (image, taken) in zip(names, places, strict=True)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise HeadstartError(f"{path} is damaged ({error}): delete it to have a report without examples") from None
    files = [content[start:end] for start, end in pairwise([0, *ends.tolist()])]
    first_heat = len(files) - len(heats)
    return Pictures(
        tests=dict(zip(tests.tolist(), files, strict=False)),
        samples=list(zip(labels.tolist(), files[len(tests) :], strict=False)),
        suspects=files[len(tests) + len(labels) : first_heat],
        counts=counts,
        heats=dict(zip(heats, files[first_heat:], strict=False)),
    )


def write_history(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep one row an epoch."""
    write_table(folder / HISTORY, pd.DataFrame(rows))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV without its index. Text that a spreadsheet would take for a formula gets a quote before it: names of
    classes come from outside."""
    table = table.rename(columns=_defused)
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    write_text(path, table.assign(**{name: table[name].map(_defused) for name in texts}).to_csv(index=False))


def _defused(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def write_checksums(folder: Path) -> None:
    """Keep the SHA-256 of every file in a folder, in the form of `sha256sum` and for `sha256sum -c`.

    It is the last that is written: a folder that has it is finished.
    """
    _write_checksums(folder, {name: sha256(folder / name) for name in files_of(folder)})


def renew_checksums(folder: Path, *written: str) -> None:
    """Keep the checksums of what was written anew in a finished folder: files, or folders with all that is in them.

    No other line changes, so that what happened to other files stays found. A folder without checksums stays so.
    Raises HeadstartError where they are damaged.
    """
    if not is_finished(folder):
        return

    def renewed(name: str) -> bool:
        return any(name == each or name.startswith(f"{each}/") for each in written)

    kept = {name: digest for name, digest in read_checksums(folder).items() if not renewed(name)}
    _write_checksums(folder, kept | {name: sha256(folder / name) for name in files_of(folder) if renewed(name)})


def read_checksums(folder: Path) -> dict[str, str]:
    """Name of a file, from `folder` on -> its SHA-256; HeadstartError where they are missing or not as written."""
    path = folder / CHECKSUMS
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise HeadstartError(f"{path} is missing: {folder} is not finished, or older than checksums are") from None
    except UnicodeDecodeError:
        text = ""
    checksums = {line[66:]: line[:64] for line in text.split("\n")[:-1]}
    if not text or text != _checksum_lines(checksums):
        raise HeadstartError(f"{path} is damaged: it is not as it was written")
    return checksums


def files_of(folder: Path) -> list[str]:
    """The files that a folder's checksums are about, from it on: all below it, but for the checksums themselves.

    In a learning curve's folder they are those of the curve alone: each size has its own.
    """
    found = folder.glob("*") if (folder / CURVE).exists() else folder.rglob("*")
    files = (path.relative_to(folder).as_posix() for path in found if path.is_file())
    return sorted(name for name in files if name != CHECKSUMS)


def is_finished(folder: Path) -> bool:
    """Whether all is done that was to be done in a folder."""
    return (folder / CHECKSUMS).is_file()


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    write_text(folder / CHECKSUMS, _checksum_lines(checksums))


def _checksum_lines(checksums: Mapping[str, str]) -> str:
    return "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))


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
