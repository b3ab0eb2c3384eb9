"""A run as a row of the comparison's table, and what rows and passes come to together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headstart.evaluation.scores import SCORES, with_interval
from headstart.evaluation.statistics import interval
from headstart.results import runs
from headstart.results.files import json_text
from headstart.results.forgetting import known_mean
from headstart.results.passes import Pass, tested
from headstart.results.scores import evaluated

KEYS = ("candidate", "strategy", "split", "seed")  # what a row is called by; its scores follow


def row_of(run: runs.Run) -> dict[str, Any]:
    """What a table says of a run. A score that the run's headstart did not know yet is computed from its predictions,
    to as many figures as metrics.json has; one that was to be measured is missing."""
    metrics = run.metrics
    known = all(key in metrics for key, score in SCORES.items() if score.formula)
    later = {} if known else json.loads(json_text(evaluated(run)))
    named = {key: getattr(run, key) for key in KEYS}
    return named | {key: metrics.get(key, later.get(key)) for key in SCORES}


def pooled_of(passes: Sequence[Pass]) -> dict[str, float | None]:
    """Score -> its mean over passes, of those that follow from predictions."""
    return {key: known_mean([each.metrics[key] for each in passes]) for key, score in SCORES.items() if score.formula}


def summary_of(
    passes: Mapping[str, Sequence[Pass]], rows: Sequence[Mapping[str, Any]], units: np.ndarray
) -> dict[str, dict[str, dict[str, float]]]:
    """Candidate -> score -> mean over passes, standard deviation over runs (0 for one), and its 95 % interval."""
    everywhere = np.arange(len(units))
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name, of_candidate in passes.items():
        summary[name] = {}
        for score in with_interval():
            values = [row[score.key] for row in rows if row["candidate"] == name]
            found = interval(tested(of_candidate, score, everywhere, units))
            summary[name][score.key] = {
                "mean": found.value,
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
                "low": found.low,
                "high": found.high,
            }
    return summary
