"""The scores: each a row of one table, from which files, tables and figures derive. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from headstart.evaluation.calibration import calibration_error

# Where a score can be shown: in a table of page and slides, in the figure of scores (shares, on one axis), on screen.
QUALITY, COST, FIGURE, SCREEN = "quality", "cost", "figure", "screen"


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
    def by_class(self) -> dict[str, np.ndarray]:
        """precision, recall, f1 and support of each class, (C,); a class that is absent or never predicted scores 0."""
        classes = np.arange(len(self.class_names))
        found = precision_recall_fscore_support(self.labels, self.predicted, labels=classes, zero_division=0)
        return dict(zip(("precision", "recall", "f1", "support"), found, strict=True))


@dataclass(frozen=True)
class Score:
    """One number of a run. title, meaning: as a table heads and explains it. written: how its values are written, a key
    of `report.WRITERS`. better: which end of it is: "higher", "lower" or neither. formula: None for what is measured
    while a run goes on. interval: how sure it is over test images: "wilson", of a share of them, "bootstrap", of what
    `statistics.macro_intervals` draws, or not asked. shown: where. short: its title on the screen and in figures.
    """

    key: str
    title: str
    meaning: str
    written: str
    better: str = ""
    formula: Callable[[Predictions], float] | None = None
    interval: str = ""
    shown: tuple[str, ...] = ()
    short: str = ""


SCORES: dict[str, Score] = {
    score.key: score
    for score in (
        Score(
            "accuracy",
            "Accuracy",
            "share of the test images classified rightly",
            "percent",
            "higher",
            lambda p: float(accuracy_score(p.labels, p.predicted)),
            "wilson",
            (QUALITY, FIGURE, SCREEN),
            "accuracy",
        ),
        Score(
            "accuracy_tta",
            "With TTA",
            "test-time augmentation: accuracy when the logits of several views are averaged",
            "percent",
            "higher",
            lambda p: float(accuracy_score(p.labels, (p.logits if p.averaged is None else p.averaged).argmax(axis=1))),
            "",
            (QUALITY, SCREEN),
            "with TTA",
        ),
        Score(
            "precision_macro",
            "Precision",
            "of those called a class, the share that is; mean of classes",
            "percent",
            "higher",
            lambda p: float(p.by_class["precision"].mean()),
            "bootstrap",
            (QUALITY, FIGURE),
            "precision",
        ),
        Score(
            "recall_macro",
            "Recall",
            "of those that are a class, the share called it; mean of classes, also called balanced accuracy",
            "percent",
            "higher",
            lambda p: float(p.by_class["recall"].mean()),
            "bootstrap",
            (QUALITY, FIGURE),
            "recall",
        ),
        Score(
            "f1_macro",
            "F1",
            "harmonic mean of precision and recall; mean of classes",
            "percent",
            "higher",
            lambda p: float(p.by_class["f1"].mean()),
            "bootstrap",
            (QUALITY, FIGURE, SCREEN),
            "F1",
        ),
        Score(
            "log_loss",
            "Log loss",
            "cross-entropy in nats: sure and wrong is costly; lower is better",
            "decimal",
            "lower",
            lambda p: float(log_loss(p.labels, p.probabilities, labels=np.arange(len(p.class_names)))),
            "",
            (QUALITY,),
        ),
        Score(
            "calibration_error",
            "Calibration error",
            "mean gap of confidence and accuracy; lower is better",
            "percent",
            "lower",
            lambda p: calibration_error(p.probabilities, p.labels),
            "",
            (QUALITY,),
        ),
        Score(
            "fit_seconds",
            "Time to fit",
            "from images to trained network, the frozen pass included",
            "duration",
            "lower",
            shown=(COST, SCREEN),
            short="fit",
        ),
        Score(
            "frozen_seconds",
            "Frozen pass",
            "the part of it that runs the frozen layers, once for each image and view",
            "duration",
            shown=(SCREEN,),
            short="frozen pass",
        ),
        Score(
            "images_per_second",
            "Images/s",
            "training images a second, once the frozen pass is done",
            "whole",
            "higher",
            shown=(COST,),
        ),
        Score("epochs", "Epochs", "passes over the training images", "count", shown=(COST,)),
        Score(
            "parameters",
            "Parameters",
            "numbers in the network",
            "short_count",
            shown=(COST, SCREEN),
            short="parameters",
        ),
        Score(
            "trainable_parameters",
            "Trainable",
            "those of them that training may change",
            "short_count",
            shown=(COST,),
        ),
        Score("size_mb", "Size", "weights on disk", "megabytes", "lower", shown=(COST,)),
        Score(
            "latency_ms",
            "Latency",
            "one image, from pixels to class",
            "milliseconds",
            "lower",
            shown=(COST, SCREEN),
            short="latency",
        ),
    )
}


def shown_in(place: str) -> list[Score]:
    """The scores that are shown there, in the table's order."""
    return [score for score in SCORES.values() if place in score.shown]


def with_interval() -> list[Score]:
    """The scores that have an interval over test images, in the table's order."""
    return [score for score in SCORES.values() if score.interval]


def evaluate(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    temperature: float = 1.0,
    averaged: np.ndarray | None = None,
) -> dict[str, Any]:
    """Score logits (N, C) against labels (N,); see `Predictions`. N is 1 or more.

    Returns every score that has a formula, calibration_error_raw (of the probabilities without the temperature),
    temperature, `per_class` (a dict a class: class, precision, recall, f1, support) and `confusion_matrix` (C lists of
    C counts, a row a true class). A class that is absent from `labels` or never predicted scores 0 and still counts in
    the macro averages.
    """
    found = Predictions(logits, labels, class_names, temperature, averaged)
    raw = Predictions(logits, labels, class_names)
    columns = (class_names, *found.by_class.values())
    return {
        **{score.key: score.formula(found) for score in SCORES.values() if score.formula},
        "calibration_error_raw": calibration_error(raw.probabilities, labels),
        "temperature": temperature,
        "per_class": [
            {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
            for name, p, r, f, n in zip(*columns, strict=True)
        ],
        "confusion_matrix": confusion_matrix(labels, found.predicted, labels=np.arange(len(class_names))).tolist(),
    }


def mean_logits(seeds: Sequence[np.ndarray]) -> np.ndarray:
    """Log-probabilities (N, C) of the mean of several classifiers' probabilities; logits: an array (N, C) each."""
    each = np.stack([log_softmax(logits.astype(np.float64), axis=1) for logits in seeds])
    return logsumexp(each, axis=0) - np.log(len(each))
