"""Answering only where it is safe to: the confidence above which a classifier is as often right as was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from scipy.stats import binom

from headstart.evaluation.statistics import Interval, accuracy_interval

CONFIDENCE = 0.95  # that what a threshold promises holds
STARTS = (1 / 4, 1 / 2, 1)  # shares of the images, the most confident ones, from which thresholds are tried
STEPS = 1000  # accuracies that `best_accuracy` knows: it is told in tenths of a percent


@dataclass(frozen=True)
class Judged:
    """What a classifier said of images whose labels are known. confidence: (N,) float64, the probability of what it
    said; right: (N,) bool, whether that was so."""

    confidence: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> Judged:
        """Of logits (N, C) and labels (N,)."""
        probabilities = softmax(np.asarray(logits, np.float64) / temperature, axis=1)
        return cls(probabilities.max(axis=1), logits.argmax(axis=1) == labels)

    def __len__(self) -> int:
        return len(self.right)


@dataclass(frozen=True)
class Answered:
    """The images whose confidence reaches a threshold. accuracy: of them, with its 95 % interval; None of none."""

    images: int
    answered: int
    accuracy: Interval | None

    @property
    def share(self) -> float:
        """Of all images, those that are answered."""
        return self.answered / self.images if self.images else 0.0


def threshold(judged: Judged, accuracy: float, confidence: float = CONFIDENCE) -> float | None:
    """The lowest confidence found from which on answers are right at least as often as `accuracy`; None where the
    images cannot show that of any.

    Of many data sets of this size, the answers of at most 1 - `confidence` of them are right less often than asked for:
    each threshold is a hypothesis, "of the answers above it fewer are right", rejected by the binomial tail of the
    mistakes among them; thresholds are tried from the more to the less confident, and the first that is not rejected
    ends it (fixed sequence testing, Angelopoulos et al. 2021, "Learn then Test", arXiv 2110.01052). A single confident
    mistake would end it before there are images enough to show anything: it starts at each of `_starts`, by an equal
    part of the error allowed (their "multi-start"), and the lowest threshold counts.
    """
    levels, answered, wrong = _levels(judged)
    starts, error = _starts(answered, accuracy, 1 - confidence)
    rejected = binom.cdf(wrong, answered, 1 - accuracy) <= error
    lowest = -1
    for start in starts:
        run = rejected[start:]
        if run[0]:
            lowest = max(lowest, start + (len(run) if run.all() else int(run.argmin())) - 1)
    return float(levels[lowest]) if lowest >= 0 else None


def best_accuracy(judged: Judged, confidence: float = CONFIDENCE) -> float:
    """The highest accuracy, in steps of 0.1 %, for which `threshold` gives one; 0 where it gives none."""
    _, answered, wrong = _levels(judged)
    for step in range(STEPS - 1, 0, -1):
        accuracy = step / STEPS
        starts, error = _starts(answered, accuracy, 1 - confidence)
        if any(binom.cdf(wrong[starts], answered[starts], 1 - accuracy) <= error):
            return accuracy
    return 0.0


def answered_above(judged: Judged, least: float) -> Answered:
    """How many images reach a confidence, and how often those are right."""
    chosen = judged.right[judged.confidence >= least]
    accuracy = accuracy_interval(int(chosen.sum()), len(chosen)) if len(chosen) else None
    return Answered(len(judged), len(chosen), accuracy)


def _levels(judged: Judged) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every different confidence, highest first; how many images reach it, and how many of those are wrong."""
    order = np.argsort(-judged.confidence, kind="stable")
    levels = judged.confidence[order]
    last = np.append(levels[1:] != levels[:-1], True)[: len(levels)]  # images of equal confidence are answered together
    answered = np.arange(1, len(levels) + 1)
    wrong = np.cumsum(~judged.right[order])
    return levels[last], answered[last], wrong[last]


def _starts(answered: np.ndarray, accuracy: float, error: float) -> tuple[list[int], float]:
    """The levels from which thresholds are tried, by numbers that are known before anything is looked at, and what each
    has of the `error` allowed; none where no number of mistakes would do.

    They are where so many of STARTS are reached, but no fewer images than show `accuracy` if all are right: by one
    start with an error of 5 %, 299 for 99 %. Starts that coincide are one, so that each has more of the error.
    """
    images = answered[-1] if len(answered) else 0
    if not 0 < accuracy < 1:  # no number of images shows that all answers are right
        return [], 0.0
    for number in range(len(STARTS), 0, -1):
        fewest = np.ceil(np.log(error / number) / np.log(accuracy))
        counts = sorted({max(np.ceil(share * images), fewest) for share in STARTS})[:number]
        if len(counts) == number and counts[-1] <= images:
            return np.searchsorted(answered, counts).tolist(), error / number
    return [], 0.0
