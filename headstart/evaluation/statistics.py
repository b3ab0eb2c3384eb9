"""How sure a difference between two classifiers is, when both were scored on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Difference:
    """A difference of accuracies as a fraction, with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def is_tie(self) -> bool:
        """True when the interval holds zero: this test set cannot tell the two apart."""
        return self.low <= 0 <= self.high


def paired_difference(correct_a: np.ndarray, correct_b: np.ndarray, confidence: float = 0.95) -> Difference:
    """Accuracy of A minus accuracy of B, with a paired interval over the test images.

    correct_a, correct_b: (N,) how often each image was classified rightly: 0 or 1, or a mean over seeds. The interval
    is the normal one of the mean of N paired differences; for single runs that is Wald's interval for McNemar's
    design. It speaks of the drawing of test images, not of the drawing of training sets.
    """
    differences = np.asarray(correct_a, dtype=float) - np.asarray(correct_b, dtype=float)
    half = norm.ppf((1 + confidence) / 2) * differences.std(ddof=1) / np.sqrt(len(differences))
    mean = differences.mean()
    return Difference(float(mean), float(mean - half), float(mean + half))
