"""Scores of one classifier on one test set, all from its logits and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from headstart.evaluation.calibration import calibration_error


def evaluate(
    logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str], temperature: float = 1.0
) -> dict[str, Any]:
    """Score logits (N, C) against labels (N,).

    temperature: what logits are divided by for probabilities, from val (`calibration.fit_temperature`). Returns
    accuracy, precision_macro, recall_macro, f1_macro, log_loss and calibration_error (of these probabilities) and
    calibration_error_raw (of those without it) as fractions, temperature, `per_class` (a dict a class: class,
    precision, recall, f1, support) and `confusion_matrix` (C lists of C counts, a row a true class). A class that is
    absent from `labels` or never predicted scores 0 and still counts in the macro averages.
    """
    classes = np.arange(len(class_names))
    raw, probabilities = (softmax(logits.astype(np.float64) / each, axis=1) for each in (1.0, temperature))
    predicted = logits.argmax(axis=1)  # which no temperature changes
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "precision_macro": float(precision.mean()),
        "recall_macro": float(recall.mean()),
        "f1_macro": float(f1.mean()),
        "log_loss": float(log_loss(labels, probabilities, labels=classes)),
        "calibration_error": calibration_error(probabilities, labels),
        "calibration_error_raw": calibration_error(raw, labels),
        "temperature": temperature,
        "per_class": [
            {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
            for name, p, r, f, n in zip(class_names, precision, recall, f1, support, strict=True)
        ],
        "confusion_matrix": confusion_matrix(labels, predicted, labels=classes).tolist(),
    }


def mean_logits(seeds: Sequence[np.ndarray]) -> np.ndarray:
    """Log-probabilities (N, C) of the mean of several classifiers' probabilities; logits: an array (N, C) each."""
    each = np.stack([log_softmax(logits.astype(np.float64), axis=1) for logits in seeds])
    return logsumexp(each, axis=0) - np.log(len(each))
