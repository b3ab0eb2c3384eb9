"""Cross-validation: of few images every one is tested, by a network that never saw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from headstart.data.dataset import Dataset, Split
from headstart.data.duplicates import find_duplicates, rows_of, together
from headstart.errors import HeadstartError

USUAL = 5  # folds
ENOUGH_TESTED = 1000  # images of test: with as many, one split says enough
VAL_HANDS = 8  # an eighth of what a fold does not test chooses epochs


def in_folds(dataset: Dataset, folds: str, seed: int) -> Dataset:
    """The same images by the splits that cross-validation takes; as it is where there is to be none.

    folds: "auto": USUAL folds where nobody gave a test split, and the one that was set aside has fewer than
    ENOUGH_TESTED images; "none"; "5": so many; "3x5": three times five, dealt anew each time. Folds are stratified by
    class; copies, and what else must stay together (`together`), are in one. Each has a val of its own, unless the user
    gave one. seed: fixes which image is in which fold. Raises HeadstartError where there is a test split already, and
    where a class has fewer different images than folds are asked for.
    """
    if folds == "none" or (folds == "auto" and ("test" not in dataset.cut or len(dataset.test) >= ENOUGH_TESTED)):
        return dataset
    if "test" not in dataset.cut:
        raise HeadstartError(f"{dataset.name} has a test split of its own: --folds is for images that have none")
    rounds, count = (1, USUAL) if folds == "auto" else times_and_folds(folds)
    given_val = np.arange(0) if "val" in dataset.cut else dataset.splits[0].val
    pool = np.setdiff1d(np.arange(len(dataset)), given_val)
    units = together(dataset, rows_of(dataset.whole, find_duplicates(dataset.whole)))
    _refuse_few(dataset, units[pool], pool, 2 if folds == "auto" else count)
    splits = [
        Split(name, *parts)
        for place in range(rounds)
        for name, *parts in _round(dataset, pool, units, given_val, count, place if rounds > 1 else None, seed)
    ]
    made = replace(dataset, splits=tuple(splits))
    made.__dict__.update(digests=dataset.digests)
    return made


def times_and_folds(folds: str) -> tuple[int, int]:
    """How often, and in how many folds: "3x5" is (3, 5), "5" is (1, 5)."""
    *rounds, count = map(int, folds.split("x"))
    return (rounds[0] if rounds else 1), count


def _round(
    dataset: Dataset,
    pool: np.ndarray,
    units: np.ndarray,
    given_val: np.ndarray,
    count: int,
    place: int | None,
    seed: int,
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """(name, train, val, test) of each fold of one round."""
    generator = np.random.default_rng((seed, place or 0))
    fold_of = dealt(dataset.labels[pool], units[pool], count, generator)
    for fold in range(count):
        rest = pool[fold_of != fold]
        val = given_val if len(given_val) else rest[_val_of(dataset.labels[rest], units[rest], generator)]
        name = f"fold{fold + 1}" if place is None else f"round{place + 1}-fold{fold + 1}"
        yield name, np.setdiff1d(rest, val), val, pool[fold_of == fold]


def _val_of(labels: np.ndarray, units: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(N,) bool, those of a fold's images that are its val; a class that would be left without one to train on has
    none there."""
    val = dealt(labels, units, VAL_HANDS, generator) == 0
    return val & np.isin(labels, labels[~val])


def dealt(labels: np.ndarray, units: np.ndarray, hands: int, generator: np.random.Generator) -> np.ndarray:
    """(N,) which of so many hands each image is dealt to: class by class like cards, by chance, each unit as one and
    the largest first, so that all hands have about the same of each class.

    labels: (N,) int. units: (N,) int, equal for images that stay together; one counts for the class of its first image.
    """
    _, firsts, unit_of, sizes = np.unique(units, return_index=True, return_inverse=True, return_counts=True)
    order = generator.permutation(len(firsts))
    order = order[np.lexsort((-sizes[order], labels[firsts][order]))]
    hand_of = np.empty(len(firsts), int)
    hand_of[order] = np.arange(len(order)) % hands
    return hand_of[unit_of]


def _refuse_few(dataset: Dataset, units: np.ndarray, pool: np.ndarray, least: int) -> None:
    """Raise HeadstartError where a class has fewer units than folds are to be cut."""
    for label, name in enumerate(dataset.class_names):
        if (found := len(np.unique(units[dataset.labels[pool] == label]))) < least:
            raise HeadstartError(
                f"class {name!r} has {found} different images, too few for {least} folds: add images, or leave it out"
            )
