"""Learning curves made by the run folder's own writers out of chosen accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headstart.evaluation.metrics import evaluate
from headstart.results import runs
from headstart.results.comparison import ROW, compare_runs

TEST_IMAGES = 1000
ASKED = {"fingerprint": "f", "strategies": ["deep-cnn", "last20"], "seeds": [0], "epochs": None}
GROWTH = {  # training images -> accuracy of each strategy: the first catches up between 1,000 and 3,000
    100: {"deep-cnn": 0.40, "last20": 0.70},
    300: {"deep-cnn": 0.60, "last20": 0.78},
    1000: {"deep-cnn": 0.78, "last20": 0.83},
    3000: {"deep-cnn": 0.88, "last20": 0.86},
}


def write_curve(
    folder: Path, growth: Mapping[int, Mapping[str, float]] = GROWTH, seeds: Sequence[int] = (0,), spread: float = 0.0
) -> Path:
    """A learning curve's folder, finished but for what is to be read out of it: a comparison a size.

    spread: by how much the accuracy of each seed lies below that of the one before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs.write_json(
        folder / runs.CURVE, {"asked": ASKED | {"seeds": list(seeds), "strategies": list(growth[min(growth)])}}
    )
    for size, accuracies in growth.items():
        place = runs.folder_of_size(folder, size)
        for strategy, accuracy in accuracies.items():
            for number, seed in enumerate(seeds):
                write_run(place, strategy, seed, size, accuracy - number * spread)
        compare_runs(place, list(accuracies)).save()
        runs.write_checksums(place)
    return folder


def write_run(comparison: Path, strategy: str, seed: int, train_images: int, accuracy: float) -> None:
    """A run that is right about so many of the test images, and has no model."""
    labels, names = np.arange(TEST_IMAGES) % 2, ["cat", "dog"]
    predicted = labels.copy()
    predicted[: round((1 - accuracy) * TEST_IMAGES)] ^= 1
    logits = 3.0 * np.eye(2)[predicted]
    sizes = {"train": train_images, "val": TEST_IMAGES, "test": TEST_IMAGES}
    backbone = {"name": "net", "weights": "w", "why": "y"} if strategy in ("frozen", "last20") else None
    with runs.new_run(comparison, strategy, seed) as place:
        runs.write_predictions(place, names, test=(logits, labels), val=(logits, labels))
        dataset = {"name": "toy", "fingerprint": "f", "source": "tests", "class_names": names, **sizes}
        runs.write_json(
            place / runs.CONFIG,
            {"strategy": {"name": strategy}, "seed": seed, "dataset": dataset, "backbone": backbone},
        )
        scores = evaluate(logits, labels, names)
        numbers = dict.fromkeys(ROW, 1.0) | scores | {"accuracy_tta": scores["accuracy"], "fit_seconds": 10.0}
        runs.write_json(place / runs.METRICS, numbers | {"strategy": strategy, "seed": seed})
