"""Cross-validation: of few images every one is tested, by a network that never saw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from headstart.data.dataset import Dataset, Split
from headstart.data.splits import placed, refuse_few, units_a_class, units_of
from headstart.errors import HeadstartError

USUAL = 5  # folds
SPLIT_SEED = 0  # which image is in which fold, and in val: all training seeds share it
ENOUGH_TESTED = 1000  # images of test: with as many, one split says enough
VAL_SHARE = 1 / 8  # of what a fold does not test: it chooses epochs


def in_folds(dataset: Dataset, folds: str, seed: int) -> Dataset:
    """The same images by the splits that cross-validation takes; as it is where there is to be none.

    folds: "auto": USUAL folds where nobody gave a test split, and the one that was set aside has fewer than
    ENOUGH_TESTED images; "none"; "5": so many; "3x5": three times five, others each time. Each class is in every fold,
    or in as many as it has units; a unit (`splits.units_of`) is in one. Each fold has a val of its own, unless the user
    gave one. seed: fixes, with an image's content, which fold it is in (`splits.placed`). Raises HeadstartError where
    there is a test split already, and where a class has fewer units than folds are asked for.
    """
    if folds == "none" or (folds == "auto" and ("test" not in dataset.cut or len(dataset.test) >= ENOUGH_TESTED)):
        return dataset
    if "test" not in dataset.cut:
        raise HeadstartError(f"{dataset.name} has a test split of its own: --folds is for images that have none")
    rounds, count = (1, USUAL) if folds == "auto" else times_and_folds(folds)
    given_val = np.arange(0) if "val" in dataset.cut else dataset.splits[0].val
    pool = np.setdiff1d(np.arange(len(dataset)), given_val)
    units, least = units_of(dataset), 2 if folds == "auto" else count
    refuse_few(dataset, units[pool], pool, least, f"for {count} folds")
    splits = [
        Split(f"round{place + 1}-{name}" if rounds > 1 else name, *parts)
        for place in range(rounds)
        for name, *parts in _round(dataset, pool, units, given_val, count, f"{seed} round{place + 1}")
    ]
    made = replace(dataset, splits=tuple(splits))
    made.__dict__.update(digests=dataset.digests)
    return made


def times_and_folds(folds: str) -> tuple[int, int]:
    """How often, and in how many folds: "3x5" is (3, 5), "5" is (1, 5)."""
    *rounds, count = map(int, folds.split("x"))
    return (rounds[0] if rounds else 1), count


def _round(
    dataset: Dataset, pool: np.ndarray, units: np.ndarray, given_val: np.ndarray, count: int, salt: str
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """(name, train, val, test) of each fold of one round."""
    fold_of = placed(units[pool], dataset.labels[pool], [1 / count] * count, salt, dataset.class_names)
    for fold in range(count):
        rest, name = pool[fold_of != fold], f"fold{fold + 1}"
        val = given_val if len(given_val) else rest[is_val(dataset, rest, units[rest], f"{salt} {name}")]
        yield name, np.setdiff1d(rest, val), val, pool[fold_of == fold]


def is_val(dataset: Dataset, rows: np.ndarray, units: np.ndarray, salt: str) -> np.ndarray:
    """(n,) bool, those of a fold's images that are its val: VAL_SHARE of them, some of the largest class and of each
    whose share is an image or more. A class that has but one unit trains."""
    largest = units_a_class(units, dataset.labels[rows], len(dataset.class_names)).max()
    least = (1, max(2, min(round(1 / VAL_SHARE), largest)))
    return placed(units, dataset.labels[rows], (1 - VAL_SHARE, VAL_SHARE), salt, dataset.class_names, least) == 1
