"""What of a run's metrics.json follows from the files beside it: made once to write it, and again to verify it."""

from __future__ import annotations

from typing import Any

from headstart.evaluation.calibration import fit_temperature
from headstart.evaluation.metrics import evaluate
from headstart.results import runs


def scores_of(run: runs.Run) -> dict[str, Any]:
    """Every score on test, from the run's predictions; its epochs and their speed, from its history; the model's size.

    Probabilities are calibrated by a temperature fitted on val. `accuracy_tta` is that of the mean logits over the
    recipe's test views; all other scores are of the images as they are.
    """
    logits, labels, names = run.predictions()
    history = run.history
    return {
        **evaluate(logits, labels, names, fit_temperature(*run.predictions("val")[:2])),
        "accuracy_tta": evaluate(run.averaged_logits(), labels, names)["accuracy"],
        "epochs": int(history["epoch"].max()),
        "images_per_second": float(history["images_per_second"].mean()),
        "size_mb": run.model.stat().st_size / 1e6,
    }
