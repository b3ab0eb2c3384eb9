"""How sure a score is, and a difference between two classifiers that were scored on the same test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import stdtrit
from scipy.stats import binomtest

SMALLEST_P = 1e-12  # a p-value below it is given as this: no reader needs to tell them apart
RESAMPLES_AT_ONCE = 100  # bounds the memory of the bootstrap where classes are many


@dataclass(frozen=True)
class Interval:
    """A score with the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A difference of accuracies as a fraction, with the bounds of its confidence interval.

    p_value: of "the two are equally accurate"; below 1 - confidence just where the interval leaves zero out.
    over_seeds: whether the interval speaks of other training seeds too, or of other test images only.
    """

    mean: float
    low: float
    high: float
    p_value: float
    over_seeds: bool

    @property
    def is_tie(self) -> bool:
        """True when the interval holds zero: this test set cannot tell the two apart."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Pair:
    """Two candidates, the more accurate one first; adjusted_p: the p-value after Holm's correction over all pairs."""

    better: str
    other: str
    difference: Difference
    adjusted_p: float


@dataclass(frozen=True)
class McNemar:
    """The images that only one of two classifiers got right, counted, and the p-value of "as many for each"."""

    only_a: int
    only_b: int
    p_value: float


def accuracy_interval(right: int, images: int, confidence: float = 0.95) -> Interval:
    """Share of `images` that were classified rightly, with Wilson's score interval.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference". Unlike the normal interval it
    keeps its promise near 100 % and never leaves 0 to 1.
    """
    low, high = binomtest(right, images).proportion_ci(confidence, method="wilson")
    return Interval(right / images, float(low), float(high))


def macro_intervals(
    confusion: np.ndarray, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Macro precision, recall and F1 with percentile bootstrap intervals over the drawing of as many test images.

    confusion: (C, C) counts, a row a true class. Returns precision_macro, recall_macro, f1_macro, defined as in
    `scores.evaluate`. Drawing N images with replacement is drawing the cells of the confusion matrix from a
    multinomial distribution of N draws, so no image is touched. Efron and Tibshirani 1993, "An Introduction to the
    Bootstrap", chapters 10 and 13. Resampling loses some images of small classes, which lowers their scores; the
    interval is moved back by that bias, or with a thousand classes of ten images it would lie below the score itself.
    """
    confusion = np.asarray(confusion)
    true, predicted = np.nonzero(confusion)
    cells = confusion[true, predicted]
    membership = [_membership(labels, len(confusion)) for labels in (true, predicted)]
    hits = _membership(np.where(true == predicted, true, -1), len(confusion))
    rng = np.random.default_rng(seed)
    draws = []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        size = min(RESAMPLES_AT_ONCE, resamples - start)
        counts = rng.multinomial(cells.sum(), cells / cells.sum(), size=size)  # (size, cells)
        draws.append(_macro_scores(counts @ hits, counts @ membership[0], counts @ membership[1]))
    tail = (1 - confidence) / 2
    scores = np.concatenate(draws, axis=1)  # (3, resamples)
    value = _macro_scores(*(cells[None] @ each for each in (hits, *membership)))[:, 0]
    low, high = np.clip(np.quantile(scores, (tail, 1 - tail), axis=1) + value - scores.mean(axis=1), 0, 1)
    names = ("precision_macro", "recall_macro", "f1_macro")
    return {name: Interval(*map(float, each)) for name, *each in zip(names, value, low, high, strict=True)}


def _membership(classes: np.ndarray, class_count: int) -> csr_array:
    """(cells, C): a one where a cell of the confusion matrix counts for a class; a class of -1 is none."""
    rows = np.flatnonzero(classes >= 0)
    return csr_array((np.ones(len(rows), int), (rows, classes[rows])), shape=(len(classes), class_count))


def _macro_scores(hits: np.ndarray, support: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(R, C) counts of each -> (3, R): precision, recall and F1, means over classes; nothing by nothing is 0."""
    pairs = ((hits, predicted), (hits, support), (2 * hits, support + predicted))
    return np.stack([(above / np.maximum(below, 1)).mean(axis=1) for above, below in pairs])


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """McNemar's exact test of two classifiers on the same images: do they err equally often?

    correct_a, correct_b: (N,) of 0 or 1. Of the images that only one got right, as many should be A's as B's: a
    binomial test. McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated Proportions or
    Percentages". Exact means that false alarms are at most as frequent as promised; mostly they are rarer.
    """
    right_a, right_b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p_value)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's correction of (K,) p-values for having looked K times; returned in the same order.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure". Calling different what stays below 0.05 is
    wrong about any of the K in at most 5 % of cases, however the tests depend on each other.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def all_differences(correct: Mapping[str, np.ndarray], confidence: float = 0.95) -> list[Pair]:
    """Every pair of candidates, by `paired_difference`, with p-values corrected for their number.

    correct: candidate -> (S, N) or (N,), whether each seed classified each test image rightly.
    """
    pairs = [(a, b) if np.mean(correct[a]) >= np.mean(correct[b]) else (b, a) for a, b in combinations(correct, 2)]
    differences = [paired_difference(correct[a], correct[b], confidence) for a, b in pairs]
    adjusted = holm([difference.p_value for difference in differences])
    return [Pair(*pair, difference, float(p)) for pair, difference, p in zip(pairs, differences, adjusted, strict=True)]


def paired_difference(correct_a: np.ndarray, correct_b: np.ndarray, confidence: float = 0.95) -> Difference:
    """Accuracy of A minus accuracy of B, with an interval over the drawing of test images and of training seeds.

    correct_a: (S_a, N), correct_b: (S_b, N), whether each seed classified each image rightly, 0 or 1. Images are
    shared, seeds are not. Where A or B has one seed, or (N,) is given (one run, or a mean over seeds), the interval
    speaks of images only: nothing is known then of how far another seed would have been.

    Images: the variance of the mean of N paired differences, after adding one image that only A gets right and one
    that only B does (Bonett and Price 2012, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
    Based on Paired Data"); so two that agree everywhere are not said to be equal beyond doubt.

    Seeds: what their accuracies spread beyond the part that the images explain, a variance component of the crossed
    design seeds x images (Searle, Casella and McCulloch 1992, "Variance Components", chapter 4). That part matters:
    most of the spread on a test set is no difference between networks (Jordan 2023, "On the Variance of Neural Network
    Training with respect to Test Sets and Distributions").

    Both: resampling three seeds gives intervals that are too narrow. Instead each part has its own quantile of
    Student's t, with Welch's degrees of freedom for the seeds, and the two are averaged, weighted by the variances
    (Cochran 1964, "Approximate Significance Levels of the Behrens-Fisher Test"). tests/evaluation/test_statistics.py
    measures how often such an interval holds the truth.
    """
    a, b = (np.atleast_2d(np.asarray(each, dtype=float)) for each in (correct_a, correct_b))
    differences = a.mean(axis=0) - b.mean(axis=0)  # (N,)
    images = len(differences)
    center = differences.sum() / (images + 2)
    by_images = ((np.sum(differences**2) + 2) / (images + 2) - center**2) / (images + 2)
    over_seeds = min(len(a), len(b)) > 1
    parts = [(_seed_variance(each), len(each) - 1) for each in (a, b)] if over_seeds else []
    by_seeds = sum(variance for variance, _ in parts)
    freedom = by_seeds**2 / sum(variance**2 / degrees for variance, degrees in parts) if by_seeds > 0 else 1.0

    def half_width(error: float) -> float:
        quantiles = -stdtrit(images - 1, error / 2), -stdtrit(freedom, error / 2)
        return float((by_images * quantiles[0] + by_seeds * quantiles[1]) / math.sqrt(by_images + by_seeds))

    half = half_width(1 - confidence)
    return Difference(
        mean=float(differences.mean()),
        low=float(max(-1, center - half)),
        high=float(min(1, center + half)),
        p_value=_p_value(abs(center), half_width),
        over_seeds=over_seeds,
    )


def _seed_variance(correct: np.ndarray) -> float:
    """Variance of a mean accuracy over seeds (S, N) by which network was drawn, beyond that by which images were.

    Zero where the accuracies differ no more than seeds that err independently on the same images would.
    """
    seeds, images = correct.shape
    of_accuracies = correct.mean(axis=1).var(ddof=1)
    within_images = correct.var(axis=0, ddof=1).mean()
    return float(max(0, of_accuracies - (within_images - of_accuracies) / (images - 1)) / seeds)


def _p_value(distance: float, half_width: Callable[[float], float]) -> float:
    """The error probability at which an interval of that half width would just reach `distance`."""
    if half_width(SMALLEST_P) <= distance:
        return SMALLEST_P
    return float(np.exp(brentq(lambda log_p: half_width(math.exp(log_p)) - distance, math.log(SMALLEST_P), 0)))
