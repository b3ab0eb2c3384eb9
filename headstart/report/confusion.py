"""Confusion matrices and galleries of test images as plain values, with the images that show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.evaluation.examples import NOTHING, Example, Examples
from headstart.report import count, percent
from headstart.report.figures import worst_mistake
from headstart.report.reading import candidates, confusion_matrix, mistakes
from headstart.results.comparison import Comparison
from headstart.runtime.text import in_a_line, shorten

LONGEST_NAME = 40  # letters: the table of classes has the whole name
MOST_PAIRS = 6


@dataclass(frozen=True)
class Shot:
    """A test image (its index), the class that the candidate said, what stands below it, a line each, and the place of
    the seed that said so."""

    image: int
    taken: int
    lines: tuple[str, ...]
    seed: int = 0


@dataclass(frozen=True)
class Cell:
    """One cell of a confusion matrix.

    warmth: from 0 to 1, how much of the candidate's colour lies below it: the square root of its share of the row, so
    that a class seldom mistaken still shows its mistakes. words: what it says, as a sentence.
    """

    text: str
    warmth: float
    words: str
    shots: tuple[Shot, ...]
    is_right: bool


@dataclass(frozen=True)
class Matrix:
    """One candidate's confusion matrix; `shown` is the cell to begin with, its most frequent mistake."""

    candidate: str
    heading: str
    rows: list[list[Cell]]
    shown: tuple[int, int]
    passes: int


@dataclass(frozen=True)
class Gallery:
    """Some of one candidate's test images."""

    candidate: str
    heading: str
    shots: list[Shot]


def matrices(comparison: Comparison, examples: Mapping[str, Examples]) -> list[Matrix]:
    """A matrix a candidate, counts summed over its passes."""
    names = _names(comparison)
    found = []
    for candidate in candidates(comparison):
        counts = confusion_matrix(comparison, candidate)
        rows = [
            [_cell(counts, true, taken, names, examples.get(candidate, NOTHING)) for taken in range(len(names))]
            for true in range(len(names))
        ]
        worst = mistakes(counts, 1)
        shown = worst[0][:2] if worst else (0, 0)
        passes = len(comparison.passes[candidate])
        found.append(Matrix(candidate, worst_mistake(counts, names, candidate), rows, shown, passes))
    return found


def _names(comparison: Comparison) -> list[str]:
    return [in_a_line(shorten(name, LONGEST_NAME)) for name in comparison.dataset["class_names"]]


def _cell(counts: np.ndarray, true: int, taken: int, names: list[str], examples: Examples) -> Cell:
    number, support = int(counts[true, taken]), int(counts[true].sum())
    share = number / support if support else 0.0
    what = "classified rightly" if true == taken else f"taken for {names[taken]}"
    return Cell(
        text=count(number) if number else "",
        warmth=round(math.sqrt(share), 3),
        words=f"{names[true]} {what}: {count(number)} of {count(support)}, {percent(share, 1)}",
        shots=tuple(_shot(each) for each in examples.cells.get((true, taken), [])),
        is_right=true == taken,
    )


def _shot(example: Example, *lines: str) -> Shot:
    return Shot(example.image, example.taken, (*lines, f"{percent(example.confidence, 1)} sure"), example.seed)


def galleries(
    comparison: Comparison,
    examples: Mapping[str, Examples],
    logits: Mapping[str, Sequence[np.ndarray]],
    labels: np.ndarray,
) -> dict[str, list[Gallery]]:
    """All galleries of the page by what they show; logits: candidate -> (N, C) a seed. labels: (N,)."""
    taken = {name: seeds[0].argmax(axis=1) for name, seeds in logits.items()}
    return {
        "confused_pairs": confused_pairs(comparison, examples.get(comparison.recommended, NOTHING)),
        "confident_mistakes": confident_mistakes(comparison, examples, labels),
        "lone_successes": lone_successes(comparison, examples, taken),
    }


def confused_pairs(comparison: Comparison, examples: Examples) -> list[Gallery]:
    """What the recommended candidate confuses most often, a gallery a pair: the images it was surest of."""
    names, candidate = _names(comparison), comparison.recommended
    counts = confusion_matrix(comparison, candidate)
    return [
        Gallery(
            candidate,
            f"{names[true]} taken for {names[taken]}: {count(times)} of {count(counts[true].sum())}",
            [_shot(each) for each in examples.cells.get((true, taken), [])],
        )
        for true, taken, times in mistakes(counts, MOST_PAIRS)
    ]


def confident_mistakes(comparison: Comparison, examples: Mapping[str, Examples], labels: np.ndarray) -> list[Gallery]:
    """The mistakes that each candidate was surest of."""
    names = _names(comparison)
    return [
        Gallery(
            candidate,
            "",
            [_shot(each, f"is {names[labels[each.image]]}", f"taken for {names[each.taken]}") for each in it.mistakes],
        )
        for candidate, it in examples.items()
        if it.mistakes
    ]


def lone_successes(
    comparison: Comparison, examples: Mapping[str, Examples], taken: Mapping[str, np.ndarray]
) -> list[Gallery]:
    """The test images that one candidate alone gets right; taken: candidate -> (N,) what its first seed says."""
    names = _names(comparison)
    return [
        Gallery(
            candidate,
            f"alone right about {count(it.alone_count)} of {count(comparison.dataset['test'])} test images",
            [
                _shot(
                    each,
                    f"is {names[each.taken]}",
                    *(f"{other}: {names[taken[other][each.image]]}" for other in taken if other != candidate),
                )
                for each in it.alone
            ],
        )
        for candidate, it in examples.items()
        if it.alone
    ]
