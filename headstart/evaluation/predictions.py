"""What a classifier said of one test set, and what its scores are made of, image by image. Pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import softmax
from sklearn.metrics import precision_recall_fscore_support

MANY_CLASSES = 10  # with more of them, whether the right one is among the TOP likeliest says something
TOP = 5


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier said of one test set: all that a score can be computed from.

    logits: (N, C). labels: (N,) int64. temperature: what logits are divided by for probabilities, from val. averaged:
    (N, C), the mean of the logits over the recipe's test views.
    """

    logits: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]
    temperature: float = 1.0
    averaged: np.ndarray | None = None

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N,) the most likely class, which no temperature changes."""
        return self.logits.argmax(axis=1)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, C) calibrated."""
        return softmax(self.logits.astype(np.float64) / self.temperature, axis=1)

    @cached_property
    def correct(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    @cached_property
    def by_class(self) -> dict[str, np.ndarray]:
        """precision, recall, f1, support (images that are it) and predicted (images called it) of each class, (C,);
        nothing out of nothing is 0."""
        classes = np.arange(len(self.class_names))
        found = precision_recall_fscore_support(self.labels, self.predicted, labels=classes, zero_division=0)
        named = dict(zip(("precision", "recall", "f1", "support"), found, strict=True))
        return named | {"predicted": np.bincount(self.predicted, minlength=len(classes))}

    @cached_property
    def chance(self) -> float:
        """The share that would agree if labels and predictions were as frequent as they are and unrelated."""
        return float(self.by_class["support"] @ self.by_class["predicted"]) / len(self.labels) ** 2


def balance(labels: np.ndarray) -> np.ndarray:
    """(N,) how much an image weighs where classes weigh alike, N / (C n_c): mean 1."""
    _, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return len(labels) / (len(sizes) * sizes[place])


def recalls(found: Predictions) -> np.ndarray:
    """(N,) what each image contributes to the mean recall of the classes that test has, scikit-learn's
    `balanced_accuracy_score`.

    n images of a class lie closer to their own mean than to the true one, by a factor of (n - 1) / n of the variance,
    which matters in small classes and is given back here.
    """
    recall, support = found.by_class["recall"], found.by_class["support"]
    given_back = np.sqrt(support / np.maximum(support - 1, 1))
    deviations = given_back[found.labels] * (found.correct - recall[found.labels])
    return recall[support > 0].mean() + balance(found.labels) * deviations


def precisions(found: Predictions) -> np.ndarray:
    """(N,) what each image contributes to the mean precision of the classes that are true or predicted."""
    by_class, predicted = found.by_class, found.predicted
    present = by_class["support"] + by_class["predicted"] > 0
    share = len(predicted) / (present.sum() * by_class["predicted"][predicted])
    return by_class["precision"][present].mean() + share * (found.correct - by_class["precision"][predicted])


def f1s(found: Predictions) -> np.ndarray:
    """(N,) what each image contributes to the mean F1 of the classes that are true or predicted.

    F1 of a class is twice its hits over its images that are it or called it; an image counts as either, or both.
    """
    f1 = found.by_class["f1"]
    counted = found.by_class["support"] + found.by_class["predicted"]
    present = counted > 0
    share = len(found.labels) / (present.sum() * np.maximum(counted, 1))
    missed = share * f1
    of_image = 2 * share[found.labels] * found.correct - missed[found.labels] - missed[found.predicted]
    return f1[present].mean() + of_image


def top5(found: Predictions) -> float | None:
    """The share of images whose class is among the TOP likeliest; None where classes are not many."""
    if len(found.class_names) <= MANY_CLASSES:
        return None
    likeliest = np.argpartition(-found.logits, TOP, axis=1)[:, :TOP]
    return float((likeliest == found.labels[:, None]).any(axis=1).mean())


def kappa(found: Predictions) -> float:
    """Cohen 1960, "A Coefficient of Agreement for Nominal Scales"; 0 where there is one class only."""
    return (float(found.correct.mean()) - found.chance) / (1 - found.chance) if found.chance < 1 else 0.0


def mcc(found: Predictions) -> float:
    """Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient"; 0 where labels or
    predictions are of one class only."""
    counts = found.by_class["support"], found.by_class["predicted"]
    spread = [1 - float(each @ each) / len(found.labels) ** 2 for each in counts]
    return (float(found.correct.mean()) - found.chance) / math.sqrt(math.prod(spread)) if all(spread) else 0.0
