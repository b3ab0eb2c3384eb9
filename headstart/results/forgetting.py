"""What retraining did to pre-trained networks, as their runs kept it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headstart.results import runs

FORGETTING = ("agreement", "divergence", "weight_distance", "cka")


def forgetting_of(run: runs.Run) -> dict[str, float | None] | None:
    """What retraining did to a run's pre-trained network: agreement and divergence (nats) of its old head, the relative
    weight_distance, and the cka of its final features; None in place of what was no number, or of it all where nothing
    was pre-trained, or the run is older than that measurement."""
    found = run.metrics.get("forgetting")
    if not found:
        return None
    return {key: found.get(key) for key in FORGETTING} | {"cka": found.get("cka", {}).get("features")}


def forgetting_by_candidate(found: Sequence[runs.Run]) -> dict[str, dict[str, float | None]]:
    """Candidate -> `forgetting_of` its runs, means over the seeds that have it."""
    seeds: dict[str, list[dict[str, float | None]]] = {}
    for run in found:
        if (forgotten := forgetting_of(run)) is not None:
            seeds.setdefault(run.candidate, []).append(forgotten)
    return {name: {key: known_mean([row[key] for row in rows]) for key in FORGETTING} for name, rows in seeds.items()}


def mixtures_by_candidate(found: Sequence[runs.Run]) -> dict[str, dict[str, Any]]:
    """Candidate -> its mixtures, means over the runs that have them, and the share that these kept."""
    every: dict[str, list[Mapping[str, Any]]] = {}
    for run in found:
        if mixed := run.metrics.get("mixtures"):
            every.setdefault(run.candidate, []).append(mixed)
    return {
        name: {
            "rows": [
                {key: known_mean([row[key] for row in rows]) for key in rows[0]}
                for rows in zip(*(each["rows"] for each in mixed), strict=True)
            ],
            "kept": known_mean([each["kept"] for each in mixed]),
        }
        for name, mixed in every.items()
    }


def known_mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
