"""What of a run's metrics.json follows from the files beside it: made once to write it, and again to verify it."""

from __future__ import annotations

from typing import Any

import numpy as np

from headstart.evaluation.calibration import fit_temperature
from headstart.evaluation.novelty import threshold
from headstart.evaluation.scores import Predictions, evaluate
from headstart.results import runs

LEAST_AGREEMENT = 0.995  # of a saved network with what was measured: below it, screen and page say so


def scores_of(run: runs.Run) -> dict[str, Any]:
    """Every score on test, from the run's predictions; epochs and their speed, from its history; the model's size."""
    history = run.history
    return {
        **evaluated(run),
        "epochs": history["epoch"].max().item(),
        "images_per_second": float(history["images_per_second"].mean()),
        **flagged(run),
        "size_mb": run.model.stat().st_size / 1e6,
    }


def flagged(run: runs.Run) -> dict[str, Any]:
    """The share of test images that are flagged as unlike training's, all of them falsely; nothing where that was not
    kept."""
    kept = run.novelty
    if kept is None or not len(kept["val"]) or not len(kept["test"]):
        return {}
    return {"false_flags": float((kept["test"] > threshold(kept["val"])).mean())}


def evaluated(run: runs.Run) -> dict[str, Any]:
    """Every score that follows from a run's predictions on test.

    Probabilities are calibrated by a temperature fitted on val. `accuracy_tta` is that of the mean logits over the
    recipe's test views; all other scores are of the images as they are.
    """
    said = predictions_of(run)
    return evaluate(said.logits, said.labels, said.class_names, said.temperature, said.averaged)


def predictions_of(run: runs.Run, rows: np.ndarray | slice = slice(None), part: str = "test") -> Predictions:
    """What a run says of test or val, or of some `rows` of it, with the temperature that val gives it."""
    logits, labels, names = run.predictions(part)
    averaged = run.averaged_logits() if part == "test" else None
    temperature = fit_temperature(*run.predictions("val")[:2])
    return Predictions(logits[rows], labels[rows], names, temperature, None if averaged is None else averaged[rows])
