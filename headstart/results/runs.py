"""The run folder: the only seam after training, and the only file that knows its file names.

    runs/cifar10-1/
      request.json  comparison.json  comparison.csv  audit.json  trivial.npz  examples.npz  report.html  slides.pdf
      MODEL_CARD.md  SHA256SUMS
      <candidate>/<split>-seed<n>/   config.json history.csv metrics.json predictions.npz model.safetensors
                                     environment.json novelty.safetensors
      figures/                       *.png
      checkpoints/<candidate>/<split>-seed<n>/                 *.safetensors, while a run is trained
      classifier/                    config.json history.csv environment.json model.safetensors
                                     novelty.safetensors, after folds
      exports/                       <candidate>.onnx <candidate>.onnx.json, also in a run's own folder

    runs/cifar10-curve-1/
      request.json  curve.json  curve.csv  curve.png  SHA256SUMS
      <training images>/   as above

Every file and every run gets there whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save

from headstart.errors import HeadstartError
from headstart.options import LETTERBOX
from headstart.results.files import (
    ONE_OF_A_RUN,
    Saved,
    read_arrays,
    read_json,
    read_table,
    read_tensors,
    write_bytes,
    write_table,
)
from headstart.runtime.cache import temporary_folder
from headstart.runtime.text import shown

SCHEMA = 2  # of all JSON files here; those of schema 1, <strategy>/seed<n>/, are read too
REQUEST = "request.json"
COMPARISON = "comparison.json"
TABLE = "comparison.csv"
AUDIT = "audit.json"
REPORT = "report.html"
SLIDES = "slides.pdf"
CARD = "MODEL_CARD.md"
EXAMPLES = "examples.npz"
TRIVIAL = "trivial.npz"
CLASSIFIER = "classifier"
CHECKPOINTS = "checkpoints"
EXPORTS = "exports"
CHECKSUMS = "SHA256SUMS"
FIGURES = "figures"
CONFIG = "config.json"
HISTORY = "history.csv"
METRICS = "metrics.json"
PREDICTIONS = "predictions.npz"
MODEL = "model.safetensors"
NOVELTY = "novelty.safetensors"
ENVIRONMENT = "environment.json"
CURVE = "curve.json"
CURVE_TABLE = "curve.csv"
CURVE_FIGURE = "curve.png"
LOCK = ".lock"
TEMPERATURE = "temperature"  # its name among the saved tensors
ROOT = Path("runs")  # where new folders are made
ONE_BESIDE_RUNS = "bring back the one that was written, or delete it: it is done without"
ONLY_SPLIT = "holdout"  # of runs of schema 1
ONLY_FIT = LETTERBOX  # of runs that do not say how pictures were fitted


@dataclass(frozen=True)
class Run:
    """One candidate trained on one split with one seed, as its folder tells it; each file is read once.

    Nothing here needs a model or torch.
    """

    folder: Path

    @property
    def candidate(self) -> str:
        """The name of its candidate, also where its folder has another one by now."""
        return str(self.config.get("candidate", self.folder.parent.name))  # schema 1 says it by the folder alone

    @property
    def strategy(self) -> str:
        """The name of its strategy."""
        return self.config["strategy"]["name"]

    @property
    def split(self) -> str:
        """The name of its split."""
        return self.config.get("split", ONLY_SPLIT)

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config["seed"]

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was asked for: strategy, recipe, network, split, seed, data, device."""
        return checked(read_json(self.folder / CONFIG), self.folder)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch: epoch, seconds, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate,
        images_per_second."""
        return read_table(self.folder / HISTORY, "epoch")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What came out: scores on test, seconds, sizes."""
        return read_json(self.folder / METRICS)

    @property
    def model(self) -> Path:
        """The file of trained weights."""
        return self.folder / MODEL

    def predictions(self, part: str = "test") -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Logits (N, C) float32 and labels (N,) int64 on "test" or "val", and the C class names."""
        prefix = "" if part == "test" else f"{part}_"
        saved = self._predictions
        return saved[f"{prefix}logits"], saved[f"{prefix}labels"], [str(name) for name in saved["class_names"]]

    @property
    def places(self) -> np.ndarray:
        """(n,) where its test images are among all that any split of the data tests, ascending."""
        saved = self._predictions
        return saved["places"] if "places" in saved else np.arange(len(saved["labels"]))

    @property
    def images(self) -> int:
        """How many images any split of the data tests."""
        about = self.config["dataset"]
        return about.get("tested", about["test"])

    def averaged_logits(self) -> np.ndarray | None:
        """(N, C) float32: the mean of the logits of each test image over the recipe's test views; None where the run is
        older than their being kept."""
        return self._predictions.get("averaged_logits")

    @cached_property
    def novelty(self) -> Saved | None:
        """What tells pictures unlike those of training; None where the run is older than that.

        `reference` (M, D) float16: features of some of these. `val` (n,) and `test` (m,) float32: how far images that
        were not trained on are from them.
        """
        path = self.folder / NOVELTY
        if not os.path.lexists(path):
            return None
        saved = read_tensors(path)
        if saved["reference"].ndim != 2 or saved["val"].ndim != 1 or saved["test"].ndim != 1:
            raise HeadstartError(f"{path} holds other arrays than were written: {ONE_OF_A_RUN}")
        return saved

    @cached_property
    def _predictions(self) -> Saved:
        saved = read_arrays(self.folder / PREDICTIONS)
        for prefix in ("", "val_"):
            logits, labels = saved[f"{prefix}logits"], saved[f"{prefix}labels"]
            if logits.shape != (len(labels), len(saved["class_names"])):
                raise HeadstartError(f"{saved.path} has {len(labels)} labels of logits {logits.shape}: {ONE_OF_A_RUN}")
        return saved


class NewerSchemaError(HeadstartError):
    """A run folder was written by a newer headstart than this one."""


def checked(content: Saved, folder: Path) -> Saved:
    """The content of a JSON file of a run folder; NewerSchemaError where a newer headstart wrote it."""
    schema = content.get("schema", 1)
    if isinstance(schema, int) and schema <= SCHEMA:
        return content
    raise NewerSchemaError(
        f"{shown(folder)} was written by a newer headstart (schema {schema}; this one reads up to {SCHEMA}): update it"
    )


def read_beside(folder: Path, name: str) -> Saved | None:
    """A JSON file of a comparison or learning curve that lies beside its runs, all of which are told without it; None
    where it is not there."""
    path = folder / name
    return checked(read_json(path, ONE_BESIDE_RUNS), folder) if os.path.lexists(path) else None


def kind_of(folder: Path) -> str:
    """What was asked for in a folder that has a request.json: "comparison" or "learning curve"."""
    return checked(read_json(folder / REQUEST, ONE_BESIDE_RUNS), folder)["kind"]


def is_curve(folder: Path) -> bool:
    """Whether a folder is that of a learning curve, finished or not."""
    if (folder / CURVE).exists() or find_runs(folder):
        return (folder / CURVE).exists()
    asked = read_beside(folder, REQUEST)
    return asked is not None and asked.get("kind") == "learning curve"


def checkpoint_folder(comparison: Path, candidate: str, split: str, seed: int) -> Path:
    """Where a comparison keeps what the run of a candidate stands at, while it is trained."""
    return run_folder(comparison / CHECKPOINTS, candidate, split, seed)


def run_folder(comparison: Path, candidate: str, split: str, seed: int) -> Path:
    """Where a comparison keeps the run of a candidate on a split with a seed."""
    return comparison / candidate / f"{split}-seed{seed}"


@contextmanager
def new_run(place: Path) -> Iterator[Path]:
    """A folder to write one run's files in; it becomes `place` when the block ends without an error."""
    with temporary_folder(place.parent) as folder:
        yield folder
        place.parent.mkdir(exist_ok=True)
        folder.chmod(0o755)
        folder.rename(place)


def is_run(place: Path) -> bool:
    """Whether a run is finished: it gets to its place whole."""
    return (place / METRICS).is_file()


def has_model(place: Path) -> bool:
    """Whether a folder holds a trained network: it gets to its place whole."""
    return (place / MODEL).is_file()


def find_runs(comparison: Path) -> list[Run]:
    """Every finished run below a comparison's folder, by candidate, split and seed."""
    return [Run(path.parent) for path in sorted(comparison.glob(f"*/*/{METRICS}"), key=_natural)]


def classifier_of(comparison: Path, candidate: str) -> Run:
    """What a comparison has of a candidate to take home: what was trained once more on all images where there were
    folds, else its first run."""
    final = Run(comparison / CLASSIFIER)
    if has_model(final.folder) and final.candidate == candidate:
        return final
    found = next((run for run in find_runs(comparison) if run.candidate == candidate), None)
    if found is None:
        raise HeadstartError(
            f"{shown(comparison)} has no run of {candidate} any more: bring its folder back, or name another run"
        )
    return found


def why_none(folder: Path) -> str:
    """What lies at a path that is not what was asked for, and what to name or do instead."""
    if not folder.is_dir():
        return "it is a file" if folder.exists() else "there is no such folder"
    inside = sorted(folder.iterdir(), key=_natural)
    sizes = [path for path in inside if path.name.isdigit() and find_runs(path)]
    comparisons = [path for path in inside if path.is_dir() and path not in sizes and find_runs(path)]
    if own := find_runs(folder):
        return f"it is a comparison: name one run in it, such as {shown(own[0].folder)}"
    above = folder.resolve().parent.parent
    if sizes or is_curve(folder):
        return "it is a learning curve" + (f": name one of its sizes, such as {shown(sizes[-1])}" if sizes else "")
    if any((folder / name).exists() for name in (METRICS, PREDICTIONS, CONFIG, MODEL)):
        if any((above / name).exists() for name in (REQUEST, COMPARISON)):
            return f"it is one run: name its comparison, {shown(above)}"
        return "it is one run without its comparison: `verify` and Classifier.load take that, nothing else does"
    if comparisons:
        return f"it holds {len(comparisons)} comparisons: name one, such as {shown(comparisons[-1])}"
    if any(is_run(path) for path in inside):
        return f"it holds runs of one candidate: name the folder above, {shown(folder.resolve().parent)}"
    if (folder / REQUEST).exists():
        return f"none was finished; the same with --output {shown(folder)} goes on"
    return "nothing in it is a run" if inside else "it is empty"


def _natural(path: Path) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def folder_of_size(curve: Path, train_images: int) -> Path:
    """Where a learning curve keeps its comparison with so many training images."""
    return curve / str(train_images)


def finished_sizes(curve: Path) -> list[int]:
    """With how many training images the comparisons of a learning curve are finished, smallest first."""
    return sorted(int(path.name) for path in curve.glob("*") if path.name.isdecimal() and is_finished(path))


def is_finished(folder: Path) -> bool:
    """Whether all is done that was to be done in a folder: its checksums are written last."""
    return (folder / CHECKSUMS).is_file()


def write_predictions(
    folder: Path,
    class_names: Sequence[str],
    *,
    test: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    averaged: np.ndarray | None = None,
    places: np.ndarray | None = None,
) -> None:
    """Keep logits (N, C) and labels (N,) of test and val, and class names: all that a score can be recomputed from.

    averaged: (N, C) the mean of test's logits over several views; where there is one view, it is those of test. places:
    (N,) where test's images are among all that any split tests (None: they are all).
    """
    content = io.BytesIO()
    np.savez(
        content,
        logits=test[0].astype(np.float32),
        labels=test[1].astype(np.int64),
        averaged_logits=(test[0] if averaged is None else averaged).astype(np.float32),
        val_logits=val[0].astype(np.float32),
        val_labels=val[1].astype(np.int64),
        class_names=np.array(class_names, dtype=np.str_),
        places=np.arange(len(test[1])) if places is None else places,
    )
    write_bytes(folder / PREDICTIONS, content.getvalue())


def write_novelty(folder: Path, reference: np.ndarray, val: np.ndarray, test: np.ndarray) -> None:
    """Keep what `Run.novelty` reads."""
    arrays = {"reference": reference.astype(np.float16)}
    arrays |= {name: each.astype(np.float32) for name, each in (("val", val), ("test", test))}
    write_bytes(folder / NOVELTY, save(arrays))


def write_history(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep one row an epoch."""
    write_table(folder / HISTORY, pd.DataFrame(rows))
