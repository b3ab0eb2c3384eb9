"""What the comparisons of a learning curve say together: how accuracy grows with the number of training images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.errors import HeadstartError
from headstart.evaluation.learning_curve import (
    SIZES_OF_A_LAW,
    Crossing,
    LearningCurve,
    MoreImages,
    crossing,
    fit_learning_curve,
)
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.files import json_text, read_json, table_text, write_text
from headstart.results.request import read_request
from headstart.runtime.text import html_table, shown
from headstart.values import given, path

# What may differ between sizes: few images are trained on in smaller batches and for more epochs, and of many a time
# limit leaves less.
FOLLOWS_SIZE = ("epochs", "batch_size", "validate_every", "look_every", "patience", "views")


@dataclass(frozen=True)
class Curve:
    """The same candidates trained on more and more images of one data set, and tested on the same.

    request: what it was made by, as request.json keeps it. comparisons: training images -> the comparison with so many,
    in order.
    """

    folder: Path
    request: Mapping[str, Any]
    comparisons: Mapping[int, Comparison]

    @property
    def largest(self) -> Comparison:
        """The comparison with the most training images."""
        return self.comparisons[max(self.comparisons)]

    @property
    def test_images(self) -> int:
        """How many images each accuracy was measured on."""
        return self.largest.dataset["test"]

    @property
    def candidates(self) -> list[str]:
        """The names of the candidates that have a run with the most images, in the order of the report; at smaller
        sizes a time limit, or want of memory, may have left some out."""
        return list(dict.fromkeys(row["candidate"] for row in self.largest.rows))

    @property
    def left_out(self) -> list[str]:
        """The names of those that have none: how they went on is not known."""
        return sorted({row["candidate"] for row in self.rows} - {*self.candidates})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A dict a run: `train_images`, and the keys of a comparison's row."""
        return [{"train_images": size, **row} for size, found in self.comparisons.items() for row in found.rows]

    def table(self) -> pd.DataFrame:
        """Mean accuracy over seeds: a row a number of training images, a column a candidate, NaN without a run."""
        table = pd.DataFrame(self.rows).pivot_table(values="accuracy", index="train_images", columns="candidate")
        return table[self.candidates]

    def accuracies(self, candidate: str) -> tuple[list[int], list[float]]:
        """Training images and accuracy of each run of a candidate."""
        rows = [row for row in self.rows if row["candidate"] == candidate]
        return [row["train_images"] for row in rows], [row["accuracy"] for row in rows]

    @property
    def no_law(self) -> str | None:
        """Why nothing is said beyond the measured sizes, in a sentence; None where every candidate has enough of
        them."""
        sizes = {name: len({*self.accuracies(name)[0]}) for name in self.candidates}
        few = [name for name in self.candidates if sizes[name] < SIZES_OF_A_LAW]
        if not few:
            return None
        of_them = "" if len(few) == len(sizes) else f" of {' and '.join(few)}"
        return (
            f"Nothing is said{of_them} beyond {max(self.comparisons):,} training images: that takes {SIZES_OF_A_LAW} "
            f"sizes, and {min(sizes.values())} were measured."
        )

    @cached_property
    def laws(self) -> dict[str, LearningCurve]:
        """Candidate -> the power law that its accuracies follow, of those that have enough sizes for one."""
        measured = {name: self.accuracies(name) for name in self.candidates}
        return {
            name: fit_learning_curve(sizes, accuracies, self.test_images)
            for name, (sizes, accuracies) in measured.items()
            if len({*sizes}) >= SIZES_OF_A_LAW
        }

    @property
    def one_more_point(self) -> dict[str, MoreImages]:
        """Candidate -> how many images beyond the most that were tried would make it a percentage point better."""
        return {name: law.more_images() for name, law in self.laws.items()}

    @cached_property
    def crossings(self) -> dict[tuple[str, str], Crossing]:
        """(from scratch, pre-trained) -> where the first catches up with the second."""
        pretrained = {run.candidate for run in self.largest.runs if run.config["backbone"]}
        return {
            (scratch, other): crossing(*self.accuracies(scratch), *self.accuracies(other))
            for scratch in self.candidates
            for other in self.candidates
            if scratch not in pretrained and other in pretrained
        }

    def _repr_html_(self) -> str:
        """In a notebook: the accuracy of each candidate by training images, and which to take with all of them."""
        table, most = self.table(), self.largest
        cells = table.map(lambda value: "-" if math.isnan(value) else f"{100 * value:.2f} %")
        rows = [(f"{size:,}", *row) for size, *row in cells.itertuples()]
        return html_table(
            f"{most.dataset['name']}: accuracy on {self.test_images:,} test images",
            ("training images", *self.candidates),
            rows,
            f"With {max(self.comparisons):,} training images: take {most.recommended}. {most.because}",
            self.no_law or "",
        )

    def as_json(self) -> dict[str, Any]:
        """What curve.json keeps and `headstart learning-curve --json` prints: docs/json.md."""
        return {
            "schema": runs.SCHEMA,
            "dataset": self.largest.dataset,
            "sizes": list(self.comparisons),
            "runs": self.rows,
            "no_law": self.no_law,
            "laws": {
                name: {key: getattr(law, key) for key in ("drop", "exponent", "floor", "largest")}
                for name, law in self.laws.items()
            },
            "one_more_point": {name: asdict(more) for name, more in self.one_more_point.items()},
            "crossings": [
                {"from_scratch": scratch, "pretrained": other, **asdict(found)}
                for (scratch, other), found in self.crossings.items()
            ],
        }

    @property
    def files(self) -> dict[str, str]:
        """curve.json and curve.csv, as text."""
        return {runs.CURVE: json_text(self.as_json()), runs.CURVE_TABLE: table_text(pd.DataFrame(self.rows))}

    def save(self) -> None:
        """Write curve.json and curve.csv into the folder."""
        for name, text in self.files.items():
            write_text(self.folder / name, text)
        renew_checksums(self.folder, *self.files)


def read_curve(folder: Path) -> Curve:
    """Read every finished comparison of a learning curve's folder.

    Raises HeadstartError where fewer than two sizes are finished, and where two differ in more than the number of
    training images and what follows from it: in data, recipe or the weights that they start from.
    """
    folder = given("folder", folder, path)
    if not folder.is_dir():
        raise HeadstartError(f"{shown(folder)} is no learning curve: {runs.why_none(folder)}")
    request = _request(folder)
    places = {size: runs.folder_of_size(folder, size) for size in runs.finished_sizes(folder)}
    comparisons = {size: compare_runs(place) for size, place in places.items()}
    if len(comparisons) < 2:
        raise HeadstartError(
            f"{shown(folder)} holds {len(comparisons)} finished training sizes: a learning curve needs two, and the "
            f"same with --output {shown(folder)} trains what is missing"
        )
    first = next(iter(comparisons.values()))
    firsts: dict[str, runs.Run] = {}
    for size, found in comparisons.items():
        if found.dataset != {**first.dataset, "train": size}:
            raise HeadstartError(f"{found.folder} has other data than {first.folder}: they are no learning curve")
        for run in found.runs:
            before = firsts.setdefault(run.candidate, run)
            for what in [key for key, value in _made_by(run).items() if value != _made_by(before)[key]]:
                raise HeadstartError(
                    f"{run.folder} has another {what} than {before.folder}: they are no learning curve"
                )
    return Curve(folder, request, comparisons)


def _request(folder: Path) -> dict[str, Any]:
    """What a curve was made by: in a file of its own or, in a folder of schema 1, in curve.json."""
    request = read_request(folder)
    if request is not None and not (folder / runs.CURVE).exists():  # a curve that is not finished
        return request
    curve = runs.checked(read_json(folder / runs.CURVE, runs.ONE_BESIDE_RUNS), folder)
    return curve.get("asked", {}) if request is None else request


def _made_by(run: runs.Run) -> dict[str, Any]:
    """What all runs of a candidate share in a learning curve: the name and the SHA-256 of the weights that they start
    from, and the recipe without what follows from the number of training images."""
    backbone, recipe = run.config["backbone"], run.config["strategy"].get("recipe", {})
    return {
        "backbone": backbone and (backbone["name"], backbone.get("sha256")),
        "recipe": {key: value for key, value in recipe.items() if key not in FOLLOWS_SIZE},
    }
