"""Whether a saved network, read back, says of test images what was measured of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from headstart.data.dataset import Subset
from headstart.inference.classifier import Classifier

CHECKED = 20  # test images, evenly chosen and one at a time; a few before them warm up
WARM_UP = 3


def saved_network(folder: Path, test: Subset, logits: np.ndarray) -> tuple[dict[str, Any], float]:
    """Classify a few test images by the network as a run's folder has it, and compare with what was measured.

    logits: (N, C), those measured of `test`. Returns what metrics.json says of it: how many `images` were compared, the
    share `agreement` that got the same class, and the `largest_difference` of a calibrated probability; and the
    milliseconds that one image takes, the median.
    """
    classifier = Classifier.load(folder)
    rows = np.unique(np.linspace(0, len(test) - 1, CHECKED).round().astype(int))
    for _ in range(WARM_UP):
        classifier.predict_proba(test.images[0])
    said, seconds = [], []
    for row in rows:
        picture, started = test.images[row], time.perf_counter()
        said.append(classifier.predict_proba(picture)[0])
        seconds.append(time.perf_counter() - started)
    measured = softmax(logits[rows] / classifier.temperature, axis=1)
    about = {
        "images": len(rows),
        "agreement": float((np.argmax(said, axis=1) == measured.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(said - measured).max()),
    }
    return about, 1000 * float(np.median(seconds))
