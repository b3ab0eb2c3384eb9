"""Learning curves made by the run folder's own writers out of chosen accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headstart.evaluation.scores import SCORES
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import compare_runs
from headstart.results.files import write_json
from headstart.results.scores import scores_of
from headstart.strategies import STRATEGIES

TEST_IMAGES = 1000
REQUEST = {"schema": runs.SCHEMA, "kind": "learning curve", "dataset": {"fingerprint": "f"}}
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
    write_json(folder / runs.REQUEST, REQUEST)
    for size, accuracies in growth.items():
        place = runs.folder_of_size(folder, size)
        for strategy, accuracy in accuracies.items():
            for number, seed in enumerate(seeds):
                write_run(place, strategy, seed, size, accuracy - number * spread)
        trials = [{"candidate": name, "split": "holdout", "seed": seed} for name in accuracies for seed in seeds]
        write_json(place / runs.REQUEST, {"schema": runs.SCHEMA, "kind": "comparison", "trials": trials})
        compare_runs(place).save()
        write_checksums(place)
    return folder


def write_run(comparison: Path, strategy: str, seed: int, train_images: int, accuracy: float) -> None:
    """A run that is right about so many of the test images, and whose model is none."""
    labels, names = np.arange(TEST_IMAGES) % 2, ["cat", "dog"]
    predicted = labels.copy()
    predicted[: round((1 - accuracy) * TEST_IMAGES)] ^= 1
    logits = 3.0 * np.eye(2)[predicted]
    sizes = {"train": train_images, "val": TEST_IMAGES, "test": TEST_IMAGES}
    pretrained = STRATEGIES[strategy].frozen_share is not None
    backbone = {"name": "net", "weights": "w", "why": "y", "sha256": "s"} if pretrained else None
    with runs.new_run(runs.run_folder(comparison, strategy, "holdout", seed)) as place:
        runs.write_predictions(place, names, test=(logits, labels), val=(logits, labels))
        dataset = {"name": "toy", "fingerprint": "f", "source": "tests", "class_names": names, **sizes}
        write_json(
            place / runs.CONFIG,
            {
                **{"schema": runs.SCHEMA, "candidate": strategy, "strategy": {"name": strategy}, "split": "holdout"},
                **{"seed": seed, "dataset": dataset, "backbone": backbone},
            },
        )
        runs.write_history(place, [{"epoch": 1, "images_per_second": 100.0}])
        (place / runs.MODEL).write_bytes(b"weights")
        numbers = dict.fromkeys(SCORES, 1.0) | scores_of(runs.Run(place)) | {"fit_seconds": 10.0}
        write_json(place / runs.METRICS, numbers | {"candidate": strategy, "split": "holdout", "seed": seed})
