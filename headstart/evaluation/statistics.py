"""How sure a score is, and a difference between two classifiers that were scored on the same test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import binomtest

from headstart.errors import HeadstartError

SMALLEST_P = 1e-12  # a p-value below it is given as this: no reader needs to tell them apart
LEAST_BETWEEN = 0.25  # of the images' variance: what networks of several folds are taken to add at the least
FREEDOM_OF_LEAST = 4  # the degrees of freedom of that, which was measured with five folds
NETWORKS, SEEDS, FOLDS = "these networks", "seeds", "folds"  # what a difference can speak of


@dataclass(frozen=True, eq=False)
class Tested:
    """A score of one candidate, image by image: what every interval is computed from.

    values: (P, N) float64, what each of N test images contributes to the score in each of P passes over them; the mean
    over images is the score (1 or 0 for accuracy). NaN: not tested in that pass. networks: (P, N) int64, which trained
    network tested it: on one split a pass is a seed with one network; with folds a pass is a repetition, with one
    network a fold; -1 where not tested. units: (N,) int64, equal for images that count as one (copies of a picture, a
    group). weights: (N,) float64, mean 1: how much an image weighs in the score (all 1 for accuracy, N / (C n_c) for
    balanced accuracy).
    """

    values: np.ndarray
    networks: np.ndarray
    units: np.ndarray
    weights: np.ndarray

    @classmethod
    def on_one_split(cls, values: np.ndarray) -> Tested:
        """Of single images that weigh alike: values (S, N), a row a seed, or (N,) of one."""
        values = np.atleast_2d(np.asarray(values, dtype=float))
        passes, images = values.shape
        networks = np.repeat(np.arange(passes)[:, None], images, axis=1)
        return cls(values, networks, np.arange(images), np.ones(images))

    @property
    def score(self) -> float:
        """Mean over passes, then over the images that were tested."""
        return float(np.nanmean(self.by_image))

    @cached_property
    def by_image(self) -> np.ndarray:
        """(N,) mean over passes, NaN where not tested."""
        return _mean_of_passes(self.values)

    @cached_property
    def folded(self) -> bool:
        """Whether several networks share a pass."""
        return any(len(np.unique(each[each >= 0])) > 1 for each in self.networks)

    @property
    def seeds(self) -> int:
        """How many networks tested the same images."""
        return 1 if self.folded else len(self.values)


@dataclass(frozen=True)
class Interval:
    """A score with the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A difference of scores as a fraction, with the bounds of its confidence interval.

    p_value: of "the two score alike"; below 1 - confidence just where the interval leaves zero out. speaks_of: what the
    interval covers besides the drawing of test images: nothing ("these networks"), other "seeds", or other training
    images and seeds ("folds").
    """

    mean: float
    low: float
    high: float
    p_value: float
    speaks_of: str

    @property
    def is_tie(self) -> bool:
        """True when the interval holds zero: these images cannot tell the two apart."""
        return self.low <= 0 <= self.high

    def within(self, margin: float) -> bool:
        """Whether the difference is surely smaller than `margin`."""
        return -margin < self.low and self.high < margin

    def turned(self) -> Difference:
        """The same, of the two in the other order."""
        return replace(self, mean=-self.mean, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class Pair:
    """Two candidates, the one that scores higher first; interval and p-value are corrected for the number of pairs."""

    better: str
    other: str
    difference: Difference


def accuracy_interval(right: int, images: int, confidence: float = 0.95) -> Interval:
    """Share of `images` that were classified rightly by one network, with Wilson's score interval.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference". Unlike the normal interval it
    keeps its promise near 100 % and never leaves 0 to 1.
    """
    low, high = binomtest(right, images).proportion_ci(confidence, method="wilson")
    return Interval(right / images, float(low), float(high))


def interval(tested: Tested, confidence: float = 0.95) -> Interval:
    """A candidate's score, with an interval over the drawing of test images, and of networks where there are several.

    Images: for shares of single images the interval of Agresti and Coull 1998, "Approximate Is Better than 'Exact' for
    Interval Estimation of Binomial Proportions", with Student's t: two more are right, and two wrong. Networks: as in
    `paired_difference`.
    """
    estimate = _estimate(tested, (1, 1, 0, 0), [tested])
    half = estimate.half_width(1 - confidence)
    return Interval(tested.score, float(max(0, estimate.center - half)), float(min(1, estimate.center + half)))


def paired_difference(a: Tested, b: Tested, confidence: float = 0.95) -> Difference:
    """Score of A minus score of B, with an interval over the drawing of test images and of trained networks.

    Only images that both were tested on count. Folds are shared by the two and compared one by one; seeds are not.

    Images: the variance of the mean of paired differences, one for each unit, after adding one unit that only A gets
    right and one that only B does (Bonett and Price 2012, "Adjusted Wald Confidence Interval for a Difference of
    Binomial Proportions Based on Paired Data"); so two that agree everywhere are not said to be equal beyond doubt.

    Networks: what they spread beyond the part that images explain, see `_over_seeds` and `_over_folds`. Of a candidate
    with one seed nothing is known of how far another would have been, and nothing is added.

    Together: each part has its own quantile of Student's t, and these are averaged, weighted by the variances (Cochran
    1964, "Approximate Significance Levels of the Behrens-Fisher Test"). bench/few_images.py and
    tests/evaluation/test_statistics.py measure how often such an interval holds the truth.
    """
    both = _difference(a, b)
    estimate = _estimate(both, (1, -1), [a, b])
    half = estimate.half_width(1 - confidence)
    return Difference(
        mean=both.score,
        low=float(max(-1, estimate.center - half)),
        high=float(min(1, estimate.center + half)),
        p_value=estimate.p_value(),
        speaks_of=FOLDS if both.folded else SEEDS if a.seeds > 1 < b.seeds else NETWORKS,
    )


def all_differences(tested: Mapping[str, Tested], confidence: float = 0.95) -> list[Pair]:
    """Every pair of candidates, by `paired_difference`, all intervals and p-values corrected for having looked at all.

    All intervals together hold their truths in at least `confidence` of cases (Bonferroni: each is made for
    1 - (1 - confidence) / pairs), and a p-value is that of one pair times their number: below 1 - confidence just where
    the interval leaves zero out. Raises HeadstartError for two that no image was tested by.
    """
    pairs = list(combinations(tested, 2))
    found = []
    for a, b in pairs:
        if np.isnan(_difference(tested[a], tested[b]).by_image).all():
            raise HeadstartError(f"{a} and {b} were tested on no image in common: bring back the runs that are gone")
        difference = paired_difference(tested[a], tested[b], 1 - (1 - confidence) / len(pairs))
        difference = replace(difference, p_value=min(1.0, difference.p_value * len(pairs)))
        found.append(Pair(a, b, difference) if difference.mean >= 0 else Pair(b, a, difference.turned()))
    return found


def between(a: str, b: str, pairs: Sequence[Pair]) -> Difference:
    """Score of A minus score of B, of all pairs."""
    pair = next(pair for pair in pairs if {pair.better, pair.other} == {a, b})
    return pair.difference if pair.better == a else pair.difference.turned()


def _difference(a: Tested, b: Tested) -> Tested:
    """A minus B on what both were tested on; a network is then a pair of networks trained on the same fold, and on one
    split, where seeds are no pairs, the two means over seeds are one pass."""
    if not (a.folded or b.folded):
        return replace(Tested.on_one_split(a.by_image - b.by_image), units=a.units, weights=a.weights)
    passes = min(len(a.values), len(b.values)) if len(a.values) > 1 < len(b.values) else None  # else one goes with all
    values = a.values[:passes] - b.values[:passes]
    networks = a.networks[:passes] * (b.networks.max() + 1) + b.networks[:passes]
    return replace(a, values=values, networks=np.where(np.isnan(values), -1, networks))


@dataclass(frozen=True)
class _Estimate:
    """A mean, and the parts of its variance, each with its degrees of freedom."""

    center: float
    parts: Sequence[tuple[float, float]]

    def half_width(self, error: float) -> float:
        """Of the interval that leaves the truth out with that probability."""
        wide = sum(variance * -stdtrit(freedom, error / 2) for variance, freedom in self.parts)
        return float(wide / math.sqrt(sum(variance for variance, _ in self.parts)))

    def p_value(self) -> float:
        """The error probability at which the interval would just reach zero."""
        distance = abs(self.center)
        if self.half_width(SMALLEST_P) <= distance:
            return SMALLEST_P
        return float(np.exp(brentq(lambda log_p: self.half_width(math.exp(log_p)) - distance, math.log(SMALLEST_P), 0)))


def _estimate(tested: Tested, added: Sequence[float], seeds: Sequence[Tested]) -> _Estimate:
    """The mean and its variance, with units `added` that nobody tested: 1 of a right image, 0 of a wrong one, or their
    differences. seeds: whose networks were drawn, where it is on one split.

    Where units weigh differently, most of the variance comes from those that weigh most: the added ones weigh as they
    do, and the degrees of freedom are those of as many equal units as would give the same (Kish 1965, "Survey
    Sampling", chapter 11).
    """
    known = ~np.isnan(tested.by_image)
    values = _by_unit(tested.by_image[known], tested.units[known])
    squares = _by_unit(tested.weights[known], tested.units[known]) ** 2
    heavy = np.sum(squares**2) / squares.sum()
    count = len(values) + len(added)
    center = (values.sum() + sum(added)) / count
    mean_square = (np.sum(values**2) + heavy * np.sum(np.square(added))) / count
    by_images = float((mean_square - center**2) / count)
    freedom = max(1.0, float(squares.sum() / heavy) - 1)
    by_networks = [_over_folds(tested, by_images)] if tested.folded else _over_seeds(seeds)
    return _Estimate(float(center), [(by_images, freedom), *by_networks])


def _by_unit(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Sums (U,) over the images (N,) of each unit, times U / N: their mean is the mean over images."""
    _, unit = np.unique(units, return_inverse=True)
    sums = np.bincount(unit, values)
    return sums * (len(sums) / len(values))


def _mean_of_passes(values: np.ndarray) -> np.ndarray:
    """(P, N) -> (N,), NaN where no pass tested."""
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _over_folds(tested: Tested, by_images: float) -> tuple[float, float]:
    """Variance of a mean over folds by which networks were trained, and its degrees of freedom.

    What the folds' means spread beyond the part that their images explain; but training sets of folds are nearly the
    same, so that what they have in common is not seen by any spread among them (Bengio and Grandvalet 2004, "No
    Unbiased Estimator of the Variance of K-Fold Cross-Validation"): never less than LEAST_BETWEEN of the images' part.
    """
    means, explained = [], []
    for network in np.unique(tested.networks[tested.networks >= 0]):
        repetition, image = np.nonzero(tested.networks == network)
        values = _by_unit(tested.values[repetition, image], tested.units[image])
        means.append(values.mean())
        explained.append(values.var(ddof=1) / len(values) if len(values) > 1 else 0.0)
    between = (np.var(means, ddof=1) - np.mean(explained)) / len(means)
    return float(max(between, LEAST_BETWEEN * by_images)), float(max(len(means) - 1, FREEDOM_OF_LEAST))


def _over_seeds(candidates: Sequence[Tested]) -> list[tuple[float, float]]:
    """Variance of a difference of candidates on one split by which seeds were drawn, and Welch's degrees of freedom;
    nothing where their networks differ no more than ones that err independently on the same images would.

    A variance component of the crossed design seeds x images (Searle, Casella and McCulloch 1992, "Variance
    Components", chapter 4): most of the spread on a test set is no difference between networks (Jordan 2023, "On the
    Variance of Neural Network Training with respect to Test Sets and Distributions").
    """
    parts = []
    for values in (each.values for each in candidates if each.seeds > 1):
        values = values[:, ~np.isnan(values).any(axis=0)]  # after some of the folds not every image is tested
        seeds, images = values.shape
        of_means = values.mean(axis=1).var(ddof=1)
        within_images = values.var(axis=0, ddof=1).mean()
        variance = max(0, of_means - (within_images - of_means) / (images - 1)) / seeds
        parts.append((float(variance), seeds - 1))
    total = sum(variance for variance, _ in parts)
    if total <= 0:
        return []
    return [(total, total**2 / sum(variance**2 / freedom for variance, freedom in parts))]
