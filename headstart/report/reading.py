"""What figures, page and slides read of a comparison, each by candidate: rows, runs, scores of classes, confusions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from headstart.results import runs
from headstart.results.comparison import Comparison

CLASS_SCORES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def candidates(comparison: Comparison) -> list[str]:
    """The names of the candidates, in the order of the report."""
    return list(dict.fromkeys(row["candidate"] for row in comparison.rows))


def means_of(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Candidate -> its row of the comparison's table: means over passes, `accuracy_std` and `runs`."""
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


def by_backbone(comparison: Comparison, candidates: Iterable[str]) -> list[list[str]]:
    """These candidates, those on one backbone together."""
    found: dict[str, list[str]] = {}
    for name in candidates:
        found.setdefault((runs_of(comparison, name)[0].config["backbone"] or {}).get("name", ""), []).append(name)
    return list(found.values())


def class_scores(comparison: Comparison) -> dict[str, dict[str, np.ndarray]]:
    """Candidate -> score ("precision", "recall", "f1") -> (C,) means over its passes."""
    return {
        name: {key: each.mean(axis=0) for key, each in scores.items()}
        for name, scores in class_scores_of_passes(comparison).items()
    }


def class_scores_of_passes(comparison: Comparison) -> dict[str, dict[str, np.ndarray]]:
    """Candidate -> score ("precision", "recall", "f1") -> (P, C), a row a pass."""
    scores = {}
    for name, passes in comparison.passes.items():
        of_passes = [each.metrics["per_class"] for each in passes]
        scores[name] = {key: np.array([[row[key] for row in rows] for rows in of_passes]) for key in CLASS_SCORES}
    return scores


def class_support(comparison: Comparison) -> list[int]:
    """How many test images each class has."""
    first = max((passes[0] for passes in comparison.passes.values()), key=lambda each: len(each.tested))
    return [row["support"] for row in first.metrics["per_class"]]


def confusion_matrix(comparison: Comparison, candidate: str) -> np.ndarray:
    """Counts (C, C) of one candidate, a row a true class, summed over its passes."""
    return np.sum([each.metrics["confusion_matrix"] for each in comparison.passes[candidate]], axis=0)


def predictions(comparison: Comparison) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Candidate -> logits (N, C) of each pass, calibrated where there are folds, and the labels (N,) that all share.

    Only of candidates that were tested on all images; where none was yet, none.
    """
    whole = {name: [each for each in passes if each.is_whole] for name, passes in comparison.passes.items()}
    whole = {name: passes for name, passes in whole.items() if passes}
    labels = next(iter(whole.values()))[0].labels if whole else np.arange(0)
    found = {
        name: [each.calibrated if comparison.folds else each.logits for each in passes]
        for name, passes in whole.items()
    }
    return found, labels


def network_of(comparison: Comparison, candidate: str, place: int, image: int) -> runs.Run:
    """The run that tested an image in one of a candidate's passes."""
    each = [each for each in comparison.passes[candidate] if each.is_whole][place]
    return each.runs[each.network[image]]


def mistakes(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions as (true class, predicted class, count), the most frequent first."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (np.unravel_index(place, wrong.shape) for place in order)
    return [(int(true), int(taken), int(wrong[true, taken])) for true, taken in pairs if wrong[true, taken]]
