"""What the comparisons of a learning curve say together: how accuracy grows with the number of training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.errors import HeadstartError
from headstart.evaluation.learning_curve import Crossing, LearningCurve, MoreImages, crossing, fit_learning_curve
from headstart.results import runs
from headstart.results.comparison import Comparison, compare_runs


@dataclass(frozen=True)
class Curve:
    """The same strategies trained on more and more images of one data set, and tested on the same.

    asked: what `learning_curve` was asked for. comparisons: training images -> the comparison with so many, in order.
    """

    folder: Path
    asked: Mapping[str, Any]
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
    def strategies(self) -> list[str]:
        """The names of the strategies, in the order they ran."""
        return list(dict.fromkeys(row["strategy"] for row in self.largest.strategies))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A dict a run: `train_images`, and the keys of a comparison's row."""
        return [{"train_images": size, **row} for size, found in self.comparisons.items() for row in found.strategies]

    def table(self) -> pd.DataFrame:
        """Mean accuracy over seeds: a row a number of training images, a column a strategy."""
        table = pd.DataFrame(self.rows).pivot_table(values="accuracy", index="train_images", columns="strategy")
        return table[self.strategies]

    def accuracies(self, strategy: str) -> tuple[list[int], list[float]]:
        """Training images and accuracy of each run of a strategy."""
        rows = [row for row in self.rows if row["strategy"] == strategy]
        return [row["train_images"] for row in rows], [row["accuracy"] for row in rows]

    @cached_property
    def laws(self) -> dict[str, LearningCurve]:
        """Strategy -> the power law that its accuracies follow."""
        return {name: fit_learning_curve(*self.accuracies(name), self.test_images) for name in self.strategies}

    @property
    def one_more_point(self) -> dict[str, MoreImages]:
        """Strategy -> how many images beyond the most that were tried would make it a percentage point better."""
        return {name: law.more_images() for name, law in self.laws.items()}

    @cached_property
    def crossings(self) -> dict[tuple[str, str], Crossing]:
        """(from scratch, pre-trained) -> where the first catches up with the second."""
        pretrained = {run.strategy for run in self.largest.runs if run.config["backbone"]}
        return {
            (scratch, other): crossing(*self.accuracies(scratch), *self.accuracies(other))
            for scratch in self.strategies
            for other in self.strategies
            if scratch not in pretrained and other in pretrained
        }

    def save(self) -> None:
        """Write curve.json and curve.csv into the folder."""
        content = {
            "asked": self.asked,
            "dataset": self.largest.dataset,
            "sizes": list(self.comparisons),
            "runs": self.rows,
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
        runs.write_json(self.folder / runs.CURVE, content)
        runs.write_table(self.folder / runs.CURVE_TABLE, pd.DataFrame(self.rows))


def read_curve(folder: Path) -> Curve:
    """Read every finished comparison of a learning curve's folder.

    Raises HeadstartError where fewer than two sizes are finished, and where they are not on the same data or backbone.
    """
    asked = runs.read_json(folder / runs.CURVE)["asked"]
    comparisons = {
        size: compare_runs(runs.folder_of_size(folder, size), asked["strategies"])
        for size in runs.finished_sizes(folder)
    }
    if len(comparisons) < 2:
        raise HeadstartError(f"{folder} holds {len(comparisons)} finished training sizes: a learning curve needs two")
    first = next(iter(comparisons.values()))
    for size, found in comparisons.items():
        if found.dataset != {**first.dataset, "train": size}:
            raise HeadstartError(f"{found.folder} has other data than {first.folder}: they are no learning curve")
        if (found.backbone or {}).get("name") != (first.backbone or {}).get("name"):
            raise HeadstartError(f"{found.folder} has another backbone than {first.folder}: they are no learning curve")
    return Curve(folder, asked, comparisons)
