"""Accuracy against the number of training images: what more of them would bring, and where one candidate catches up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.errors import HeadstartError
from headstart.evaluation.statistics import Interval

FARTHEST = 3  # no answer beyond so many times the largest size that was measured
SIZES_OF_A_LAW = 4  # the largest ones: from fewer, three numbers are hardly read out; smaller ones often follow no law
EXPONENTS = (0.01, 3.0)  # the flattest and the steepest curve that is tried
SEED_SPREAD = 0.01  # standard deviation of an accuracy over training seeds, where they themselves tell of no larger one
RESAMPLES = 1000


@dataclass(frozen=True)
class LearningCurve:
    """error(n) = drop * (n / largest) ** -exponent + floor, fitted to measured accuracies.

    That is a * n ** -b + c with a = drop * largest ** exponent. largest: the largest number of training images
    measured. drop: the part of the error there that more images can remove; floor: the part that they cannot. reached:
    the accuracy measured there, to which the law adds. draws: (R, 3) drop, exponent and reached of resampled
    accuracies: their uncertainty.
    """

    largest: int
    drop: float
    exponent: float
    floor: float
    reached: float
    draws: np.ndarray

    @property
    def _all(self) -> np.ndarray:
        """(3, 1 + R): drop, exponent and reached, as they are and as they were drawn."""
        return np.vstack([(self.drop, self.exponent, self.reached), self.draws]).T

    @property
    def limit(self) -> int:
        """The number of training images beyond which the curve gives no answer."""
        return FARTHEST * self.largest

    def accuracy(self, images: float, confidence: float = 0.95) -> Interval | None:
        """Accuracy with so many images, the largest size or more, with its interval; None beyond the limit."""
        if images > self.limit:
            return None
        drop, exponent, reached = self._all
        accuracy = np.clip(reached + drop * (1 - (images / self.largest) ** -exponent), 0, 1)
        tail = (1 - confidence) / 2
        return Interval(float(accuracy[0]), *map(float, np.quantile(accuracy[1:], (tail, 1 - tail))))

    def more_images(self, points: float = 1.0, confidence: float = 0.95) -> MoreImages:
        """How many images beyond the largest size would make the accuracy that many percentage points better."""
        drop, exponent, _ = self._all
        left = drop - points / 100  # of the part that images can remove, once the points are gained
        reachable = left > 0
        ratio = np.divide(left, drop, out=np.ones_like(drop), where=reachable)
        with np.errstate(over="ignore"):
            more = np.where(reachable, self.largest * (ratio ** (-1 / exponent) - 1), math.inf)
        tail = (1 - confidence) / 2
        low, high = np.quantile(more[1:], (tail, 1 - tail), method="inverted_cdf")  # no mean of a number and infinity
        beyond = self.limit - self.largest
        images, low, high = (None if each > beyond else round(each) for each in (float(more[0]), low, high))
        return MoreImages(images, low, high, beyond)


@dataclass(frozen=True)
class MoreImages:
    """So many more training images, with the bounds of the interval.

    None is "more than `beyond`": the curve is not asked so far from what was measured.
    """

    images: int | None
    low: int | None
    high: int | None
    beyond: int


@dataclass(frozen=True)
class Crossing:
    """Where one learning curve catches up with another, within the sizes at which both were measured.

    images: the number of training images from which on it stays level or ahead; None where it does not within this
    data. smallest, largest: the sizes that both cover. Where images is the smallest, it was never behind.
    """

    images: int | None
    smallest: int
    largest: int

    @property
    def from_the_start(self) -> bool:
        """True when the smallest common size already shows it level or ahead: it may have caught up before."""
        return self.images == self.smallest


def fit_learning_curve(
    sizes: Sequence[int], accuracies: Sequence[float], test_images: int, seed: int = 0
) -> LearningCurve:
    """Fit a power law to the accuracies measured with the four largest numbers of training images.

    sizes, accuracies: (P,), a run each; a size with several seeds occurs several times. test_images: how many each
    accuracy was measured on. Raises HeadstartError for fewer than four sizes.

    Power laws with a floor: Hestness et al. 2017, "Deep Learning Scaling is Predictable, Empirically" (arXiv
    1712.00409). Least squares over the means of the sizes, each weighted by the binomial variance of one run, as all
    runs share their test images. For a given exponent drop and floor have a closed form, so only the exponent is
    searched for.

    The uncertainty: the means are drawn anew (a parametric bootstrap), with that variance and what training seeds
    spread, and each draw goes on in two ways. One is the law. The other is a straight line in log n through the two
    largest sizes: where a network is still close to chance, or its classes are learned one after the other, errors fall
    faster at the end than any power law that fits all four (Viering and Loog 2021, "The Shape of Learning Curves: a
    Review", arXiv 2103.10948).
    """
    n, means = (each[-SIZES_OF_A_LAW:] for each in _means(sizes, accuracies))
    if len(n) < SIZES_OF_A_LAW:
        raise HeadstartError(
            f"a learning curve is continued from {SIZES_OF_A_LAW} training sizes at least, found {len(n)}"
        )
    x, errors = n / n[-1], 1 - means
    expected = errors
    for _ in range(2):  # the weights come from the errors, then from the curve
        weights = 1 / _binomial_variance(expected, test_images)
        drop, exponent, floor = _fit(x, errors[None], weights)[0]
        expected = drop * x**-exponent + floor
    runs = [np.asarray(accuracies)[np.asarray(sizes) == size] for size in n]
    of_seeds = [max(SEED_SPREAD**2 / len(each), each.var() / max(1, len(each) - 1)) for each in runs]
    noise = np.random.default_rng(seed).standard_normal((RESAMPLES, len(n))) * np.sqrt(1 / weights + of_seeds)
    drawn = np.clip(errors + noise, 0, 1)
    rates = np.vstack([_fit(x, drawn, weights)[:, :2], _straight(x[-2], drawn[:, -2:])])
    draws = np.column_stack([rates, 1 - np.tile(drawn[:, -1], 2)])
    return LearningCurve(int(n[-1]), float(drop), float(exponent), float(floor), float(means[-1]), draws)


def _straight(x: float, errors: np.ndarray) -> np.ndarray:
    """Drop and exponent (R, 2) of lines in log n through errors (R, 2) at x and 1: laws as flat as any tried."""
    exponent = EXPONENTS[0]
    drop = np.maximum(0, errors[:, 0] - errors[:, 1]) / (x**-exponent - 1)
    return np.stack([drop, np.full_like(drop, exponent)], axis=1)


def _binomial_variance(errors: np.ndarray, test_images: int) -> np.ndarray:
    """Of an error measured on so many images; an error of 0 is known no better than one of half an image."""
    share = np.clip(errors, 0.5 / test_images, 1 - 0.5 / test_images)
    return share * (1 - share) / test_images


def _fit(x: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted least squares of errors (R, P) at x (P,): (R, 3) of drop, exponent and floor, none below zero.

    The exponent is found on a grid that is drawn closer four times about its best point.
    """
    rows = np.arange(len(errors))
    grid = np.geomspace(*EXPONENTS, 60)[None]  # (1, G), later (R, G)
    for _ in range(5):
        drop, floor, loss = _fit_given_exponents(x, errors, weights, grid)
        best = loss.argmin(axis=1)
        grid = np.broadcast_to(grid, loss.shape)
        found = np.stack([drop[rows, best], grid[rows, best], floor[rows, best]], axis=1)
        below, above = (grid[rows, np.clip(best + step, 0, grid.shape[1] - 1)] for step in (-1, 1))
        grid = np.geomspace(below, above, 15, axis=1)
    return found


def _fit_given_exponents(
    x: np.ndarray, errors: np.ndarray, weights: np.ndarray, exponents: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Best drop and floor, and their loss, for errors (R, P) and exponents (R, G) or (1, G); each (R, G).

    With the exponent given, the error is a straight line in x ** -exponent.
    """
    powers = x ** -exponents[..., None]  # (R, G, P)
    total = weights.sum()
    mean_power, mean_error = powers @ weights / total, (errors @ weights / total)[:, None]
    centred = powers - mean_power[..., None]
    drop = np.maximum(0, (centred * (errors - mean_error)[:, None]) @ weights / (centred**2 @ weights))
    floor = mean_error - drop * mean_power
    through_zero = ((powers * errors[:, None]) @ weights) / (powers**2 @ weights)
    drop, floor = np.where(floor < 0, through_zero, drop), np.maximum(0, floor)
    residuals = errors[:, None] - drop[..., None] * powers - floor[..., None]
    return drop, floor, residuals**2 @ weights


def crossing(
    sizes: Sequence[int], accuracies: Sequence[float], other_sizes: Sequence[int], other_accuracies: Sequence[float]
) -> Crossing:
    """The number of training images from which on the first curve is level with the other, or ahead, to the end.

    sizes, accuracies: (P,), other_sizes, other_accuracies: (Q,), a run each; seeds of a size are averaged. Between
    measured sizes both go straight in log n. Raises HeadstartError where the two share no range of sizes.
    """
    own, other = _means(sizes, accuracies), _means(other_sizes, other_accuracies)
    smallest, largest = max(own[0][0], other[0][0]), min(own[0][-1], other[0][-1])
    if smallest > largest:
        raise HeadstartError(
            f"one learning curve ends at {largest:,.0f} training images and the other begins at {smallest:,.0f}: "
            "measure both at common sizes"
        )
    n = np.union1d(own[0], other[0])
    n = n[(smallest <= n) & (n <= largest)]
    ahead = np.subtract(*(np.interp(np.log(n), np.log(each), means) for each, means in (own, other)))
    behind = np.flatnonzero(ahead < 0)
    if not len(behind):
        images: int | None = int(smallest)
    elif behind[-1] == len(n) - 1:
        images = None
    else:
        last = behind[-1]
        share = ahead[last] / (ahead[last] - ahead[last + 1])
        images = round(math.exp(math.log(n[last]) + share * math.log(n[last + 1] / n[last])))
    return Crossing(images, int(smallest), int(largest))


def _means(sizes: Sequence[int], accuracies: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Each size once, in order, with its mean accuracy."""
    different, place = np.unique(np.asarray(sizes, dtype=float), return_inverse=True)
    return different, np.bincount(place, weights=accuracies) / np.bincount(place)
