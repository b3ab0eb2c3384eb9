"""The scores: each a row of one table, from which files, tables and figures derive. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import confusion_matrix, log_loss

from headstart.evaluation.calibration import calibration_error
from headstart.evaluation.predictions import (
    MANY_CLASSES,
    TOP,
    Predictions,
    balance,
    f1s,
    kappa,
    mcc,
    precisions,
    recalls,
    top5,
)

# Where a score can be shown: in a table of page and slides, in the figure of scores (shares, on one axis), on screen.
QUALITY, COST, FIGURE, SCREEN = "quality", "cost", "figure", "screen"


@dataclass(frozen=True)
class Score:
    """One number of a run. title, meaning: as a table heads and explains it. written: how its values are written, a key
    of `report.WRITERS`. better: which end of it is: "higher", "lower" or neither. formula: None for what is measured
    while a run goes on; it gives None where the score means nothing. contributions: (N,) whose mean is the score, None
    where no interval is asked: the score plus the influence of each image on it, the first term of its expansion in the
    shares of images (Hampel 1974, "The Influence Curve and Its Role in Robust Estimation"). weights: labels (N,) ->
    (N,) how much an image weighs in it, mean 1. shown: where. short: its title on the screen and in figures. hub:
    what the Hugging Face hub calls it, where a model card states it.
    """

    key: str
    title: str
    meaning: str
    written: str
    better: str = ""
    formula: Callable[[Predictions], float | None] | None = None
    contributions: Callable[[Predictions], np.ndarray] | None = None
    weights: Callable[[np.ndarray], np.ndarray] = field(default=lambda labels: np.ones(len(labels)))
    shown: tuple[str, ...] = ()
    short: str = ""
    hub: str = ""


SCORES: dict[str, Score] = {
    score.key: score
    for score in (
        Score(
            "accuracy",
            "Accuracy",
            "share of the test images classified rightly",
            "percent",
            "higher",
            lambda p: float(p.correct.mean()),
            lambda p: p.correct.astype(float),
            shown=(QUALITY, FIGURE, SCREEN),
            short="accuracy",
            hub="accuracy",
        ),
        Score(
            "accuracy_tta",
            "With TTA",
            "test-time augmentation: accuracy when the logits of several views are averaged",
            "percent",
            "higher",
            lambda p: float(((p.logits if p.averaged is None else p.averaged).argmax(axis=1) == p.labels).mean()),
            shown=(QUALITY, SCREEN),
            short="with TTA",
        ),
        Score(
            "top5",
            "Top 5",
            f"share whose class is among the {TOP} likeliest; of more than {MANY_CLASSES} classes",
            "percent",
            "higher",
            top5,
            shown=(QUALITY,),
        ),
        Score(
            "precision_macro",
            "Precision",
            "of those called a class, the share that is; mean of classes",
            "percent",
            "higher",
            lambda p: float(precisions(p).mean()),
            precisions,
            balance,
            (QUALITY, FIGURE),
            "precision",
            hub="precision",
        ),
        Score(
            "recall_macro",
            "Recall",
            "of those that are a class, the share called it; mean of classes, also called balanced accuracy",
            "percent",
            "higher",
            lambda p: float(recalls(p).mean()),
            recalls,
            balance,
            (QUALITY, FIGURE),
            "recall",
            hub="recall",
        ),
        Score(
            "f1_macro",
            "F1",
            "harmonic mean of precision and recall; mean of classes",
            "percent",
            "higher",
            lambda p: float(f1s(p).mean()),
            f1s,
            balance,
            (QUALITY, FIGURE, SCREEN),
            "F1",
            hub="f1",
        ),
        Score(
            "mcc",
            "MCC",
            "Matthews' correlation of classes and predictions: 1 is perfect, 0 no better than chance",
            "decimal",
            "higher",
            mcc,
            shown=(QUALITY,),
        ),
        Score(
            "kappa",
            "Kappa",
            "Cohen's: the share of what chance would get wrong that is right; 0 is no better than chance",
            "decimal",
            "higher",
            kappa,
            shown=(QUALITY,),
        ),
        Score(
            "log_loss",
            "Log loss",
            "cross-entropy in nats: sure and wrong is costly; lower is better",
            "decimal",
            "lower",
            lambda p: float(log_loss(p.labels, p.probabilities, labels=np.arange(len(p.class_names)))),
            shown=(QUALITY,),
        ),
        Score(
            "calibration_error",
            "Calibration error",
            "mean gap of confidence and accuracy; lower is better",
            "percent",
            "lower",
            lambda p: calibration_error(p.probabilities, p.labels),
            shown=(QUALITY,),
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

METRICS = {"accuracy": "accuracy", "balanced-accuracy": "recall_macro", "f1": "f1_macro"}  # --metric -> key


def shown_in(place: str) -> list[Score]:
    """The scores that are shown there, in the table's order."""
    return [score for score in SCORES.values() if place in score.shown]


def with_interval() -> list[Score]:
    """The scores that have an interval over test images, in the table's order."""
    return [score for score in SCORES.values() if score.contributions]


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
    C counts, a row a true class). Macro scores are scikit-learn's: means over the classes that are true or predicted,
    of recall over those that are true. Others score 0 in `per_class`.
    """
    found = Predictions(logits, labels, class_names, temperature, averaged)
    raw = Predictions(logits, labels, class_names)
    columns = (class_names, *(found.by_class[key] for key in ("precision", "recall", "f1", "support")))
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
