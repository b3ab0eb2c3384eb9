"""What figures, page and slides read of a comparison, each by candidate: rows, runs, scores of classes, confusions."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.results import runs
from headstart.results.comparison import Comparison

CLASS_SCORES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def candidates(comparison: Comparison) -> list[str]:
    """The names of the candidates, in the order of the report."""
    return list(dict.fromkeys(row["candidate"] for row in comparison.rows))


def means_of(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Candidate -> its row of the comparison's table: means over seeds, `accuracy_std` and `seeds`."""
    table = comparison.table()
    return {str(name): dict(zip(table.columns, row, strict=True)) for name, *row in table.itertuples()}


def runs_of(comparison: Comparison, candidate: str) -> list[runs.Run]:
    """The runs of one candidate."""
    return [run for run in comparison.runs if run.candidate == candidate]


def retrained_shares(comparison: Comparison) -> dict[str, float]:
    """Candidate -> the share of its pre-trained backbone's layers that it retrains; only of those that have one."""
    configs = {name: runs_of(comparison, name)[0].config["strategy"] for name in candidates(comparison)}
    frozen = {name: config.get("frozen_share") for name, config in configs.items()}
    return {name: 1 - share for name, share in frozen.items() if share is not None}


def class_scores(comparison: Comparison) -> dict[str, dict[str, np.ndarray]]:
    """Candidate -> score ("precision", "recall", "f1") -> (C,) means over its seeds."""
    return {
        name: {key: each.mean(axis=0) for key, each in scores.items()}
        for name, scores in class_scores_of_seeds(comparison).items()
    }


def class_scores_of_seeds(comparison: Comparison) -> dict[str, dict[str, np.ndarray]]:
    """Candidate -> score ("precision", "recall", "f1") -> (S, C), a row a seed."""
    scores = {}
    for name in candidates(comparison):
        seeds = [run.metrics["per_class"] for run in runs_of(comparison, name)]
        scores[name] = {key: np.array([[row[key] for row in rows] for rows in seeds]) for key in CLASS_SCORES}
    return scores


def class_support(comparison: Comparison) -> list[int]:
    """How many test images each class has."""
    return [row["support"] for row in comparison.runs[0].metrics["per_class"]]


def confusion_matrix(comparison: Comparison, candidate: str) -> np.ndarray:
    """Counts (C, C) of one candidate, a row a true class, summed over its seeds."""
    return np.sum([run.metrics["confusion_matrix"] for run in runs_of(comparison, candidate)], axis=0)


def predictions(comparison: Comparison) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Candidate -> logits (N, C) of each seed, and the labels (N,) that all share."""
    found = {name: [run.predictions() for run in runs_of(comparison, name)] for name in candidates(comparison)}
    _, labels, _ = next(iter(found.values()))[0]
    return {name: [logits for logits, _, _ in seeds] for name, seeds in found.items()}, labels


def mistakes(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions as (true class, predicted class, count), the most frequent first."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (np.unravel_index(place, wrong.shape) for place in order)
    return [(int(true), int(taken), int(wrong[true, taken])) for true, taken in pairs if wrong[true, taken]]
