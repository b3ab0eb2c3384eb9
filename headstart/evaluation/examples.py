"""Which test images are worth looking at: chosen from logits and labels alone, the most confident first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
from scipy.special import softmax

PER_CELL = 3
PER_GALLERY = 8


@dataclass(frozen=True)
class Example:
    """A test image (its index), the class it was taken for, the probability that the network gave that class, and which
    network: the place of its seed."""

    image: int
    taken: int
    confidence: float
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """What one candidate's predictions have to show.

    cells: (true, taken) -> its most confident mistakes of that kind, the most frequent kind first. mistakes: its most
    confident ones of any kind, each image once. alone: images that it alone gets right, with every seed, where every
    other candidate is wrong with every seed; alone_count: how many there are.
    """

    cells: Mapping[tuple[int, int], list[Example]]
    mistakes: list[Example]
    alone: list[Example]
    alone_count: int


NOTHING = Examples({}, [], [], 0)


def choose(logits: Mapping[str, Sequence[np.ndarray]], labels: np.ndarray) -> dict[str, Examples]:
    """Choose what to show of each candidate; logits: candidate -> (N, C) a seed. labels: (N,)."""
    probabilities = {name: [softmax(each, axis=1) for each in seeds] for name, seeds in logits.items()}
    right = {name: np.array([p.argmax(axis=1) == labels for p in seeds]) for name, seeds in probabilities.items()}
    chosen = {}
    for name, seeds in probabilities.items():
        others = [hits.any(axis=0) for other, hits in right.items() if other != name]
        alone = right[name].all(axis=0) & ~np.any(others, axis=0) if others else np.zeros(len(labels), bool)
        mistakes = _mistakes(seeds, labels)
        chosen[name] = Examples(
            cells=_by_cell(mistakes, labels),
            mistakes=_once(mistakes)[:PER_GALLERY],
            alone=_surest(seeds, labels, np.flatnonzero(alone))[:PER_GALLERY],
            alone_count=int(alone.sum()),
        )
    return chosen


def by_importance(examples: Mapping[str, Examples]) -> list[int]:
    """The test images of these examples, each once: the galleries, then the first of every cell, then the second."""
    galleries = (each for it in examples.values() for each in chain(it.mistakes, it.alone))
    cells = (cell for it in examples.values() for cell in it.cells.values())
    ranks = (each for rank in zip_longest(*cells) for each in rank if each is not None)
    return list(dict.fromkeys(each.image for each in chain(galleries, ranks)))


def _mistakes(seeds: Sequence[np.ndarray], labels: np.ndarray) -> list[Example]:
    """Every mistake of any seed, the most confident first; where several seeds make the same, it stands once."""
    found: dict[tuple[int, int], Example] = {}
    for example in chain.from_iterable(_of_one_seed(seed, each, labels) for seed, each in enumerate(seeds)):
        key = example.image, example.taken
        if key not in found or found[key].confidence < example.confidence:
            found[key] = example
    return sorted(found.values(), key=lambda each: (-each.confidence, each.image))


def _of_one_seed(seed: int, probabilities: np.ndarray, labels: np.ndarray) -> Iterator[Example]:
    taken = probabilities.argmax(axis=1)
    for image in np.flatnonzero(taken != labels):
        yield Example(int(image), int(taken[image]), float(probabilities[image, taken[image]]), seed)


def _once(mistakes: Sequence[Example]) -> list[Example]:
    first: dict[int, Example] = {}
    for each in mistakes:
        first.setdefault(each.image, each)
    return list(first.values())


def _by_cell(mistakes: Sequence[Example], labels: np.ndarray) -> dict[tuple[int, int], list[Example]]:
    frequency = Counter((int(labels[each.image]), each.taken) for each in mistakes)
    cells: dict[tuple[int, int], list[Example]] = {cell: [] for cell, _ in frequency.most_common()}
    for each in mistakes:
        cell = cells[int(labels[each.image]), each.taken]
        if len(cell) < PER_CELL:
            cell.append(each)
    return cells


def _surest(seeds: Sequence[np.ndarray], labels: np.ndarray, images: np.ndarray) -> list[Example]:
    """Images classified rightly, by the lowest confidence of any seed."""
    confidence = np.min([probabilities[images, labels[images]] for probabilities in seeds], axis=0)
    order = np.argsort(-confidence, kind="stable")
    return [Example(int(images[at]), int(labels[images[at]]), float(confidence[at])) for at in order]
