"""Whether a saved network says of test images what was measured of it, by whatever engine and precision that was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from headstart.data.dataset import Subset
from headstart.inference.classifier import Classifier

MEASURED_ITSELF = 1000  # test images, up to which the scores are those of the saved network itself
SAMPLE = (100, 1000)  # of more images, those that are looked at where all would take too long: at least, at most


def saved_network(folder: Path, test: Subset, logits: np.ndarray, seconds: float) -> tuple[np.ndarray, dict[str, Any]]:
    """Classify test images by the network as a run's folder has it, in fp32, and compare with what was measured.

    logits: (N, C), those measured of `test`. seconds: what this may take where `test` has more than MEASURED_ITSELF
    images; where all would take longer, an even choice is looked at. Returns the logits (N, C) that are to be kept, and
    what metrics.json says of it: how many `images` were compared, the share `agreement` that got the same class, the
    `largest_difference` of a calibrated probability, and whether what is kept `is_its_own`: of a small test set it is,
    so that whoever uses the network gets to the last image what was scored.
    """
    classifier = Classifier.load(folder)
    rows = np.arange(len(test)) if len(test) <= MEASURED_ITSELF else _affordable(classifier, test, seconds)
    batches = classifier.batches(test.images[row] for row in rows)
    own = np.concatenate([classifier.logits(batch).numpy() for batch in batches])
    measured = logits[rows]
    difference = softmax(own / classifier.temperature, axis=1) - softmax(measured / classifier.temperature, axis=1)
    about = {
        "images": len(rows),
        "agreement": float((own.argmax(axis=1) == measured.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(difference).max()),
        "is_its_own": len(test) <= MEASURED_ITSELF,
    }
    return (own if about["is_its_own"] else logits), about


def _affordable(classifier: Classifier, test: Subset, seconds: float) -> np.ndarray:
    """All rows of test where classifying them takes so many seconds at most, else an even choice."""
    first = _evenly(len(test), 8)
    classifier.predict_proba(test.images[first])
    started = time.perf_counter()
    classifier.predict_proba(test.images[first])
    affordable = int(seconds * len(first) / max(1e-9, time.perf_counter() - started))
    least, most = SAMPLE
    return _evenly(len(test), affordable if affordable >= len(test) else min(max(least, affordable), most))


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
