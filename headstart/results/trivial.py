"""Answers that learn next to nothing, kept beside the runs: what every candidate has to beat."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.evaluation.scores import Predictions, Score
from headstart.evaluation.statistics import Tested
from headstart.results import runs
from headstart.results.files import read_arrays, write_bytes


@dataclass(frozen=True)
class Answers:
    """What a trivial classifier says on one split. places: (n,) of the split's test images among all that are tested.
    labels, classes: (n,) what they are, and what it says."""

    places: np.ndarray
    labels: np.ndarray
    classes: np.ndarray


def write_answers(folder: Path, answers: Mapping[str, Sequence[Answers]], class_names: Sequence[str]) -> None:
    """Keep what trivial classifiers say in a comparison's folder: name -> a split each."""
    arrays = {
        f"{name}/{place}/{key}": value
        for name, splits in answers.items()
        for place, split in enumerate(splits)
        for key, value in vars(split).items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, class_names=np.array(class_names, np.str_), names=np.array(list(answers)), **arrays)
    write_bytes(folder / runs.TRIVIAL, buffer.getvalue())


def read_answers(folder: Path) -> tuple[dict[str, list[Answers]], list[str]]:
    """What a comparison's folder has of them, and the class names; nothing where it is older than their being kept."""
    if not (folder / runs.TRIVIAL).exists():
        return {}, []
    saved = read_arrays(folder / runs.TRIVIAL, runs.ONE_BESIDE_RUNS)
    splits = {key.split("/")[1] for key in saved if "/" in key}
    found = {
        str(name): [
            Answers(*(saved[f"{name}/{place}/{key}"] for key in ("places", "labels", "classes")))
            for place in range(len(splits))
        ]
        for name in saved["names"]
    }
    return found, saved["class_names"].tolist()


def trivial_answers(folder: Path, score: Score, places: np.ndarray, units: np.ndarray) -> dict[str, Tested]:
    """Name -> how a trivial classifier scores, image by image, on the images at these places, each counted once.

    units: (N,) of all images, equal for those that count as one. Where folds are repeated, the first round tells.
    """
    answers, names = read_answers(folder)
    return {name: _tested(splits, names, score, places, units) for name, splits in answers.items()}


def _tested(
    splits: Sequence[Answers], names: Sequence[str], score: Score, places: np.ndarray, units: np.ndarray
) -> Tested:
    labels, classes, networks = (np.full(len(units), -1) for _ in range(3))
    for number, split in enumerate(splits):
        new = networks[split.places] < 0
        for kept, values in ((labels, split.labels), (classes, split.classes)):
            kept[split.places[new]] = values[new]
        networks[split.places[new]] = number
    said = Predictions(np.eye(len(names))[classes[places]], labels[places], names)
    assert score.contributions is not None
    return Tested(score.contributions(said)[None], networks[places][None], units[places], score.weights(said.labels))
