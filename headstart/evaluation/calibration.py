"""Whether a classifier is as often right as it says, and one number that makes it so.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

CALIBRATION_BINS = 15
TEMPERATURES = (0.01, 100.0)  # the narrowest and the widest that are tried


@dataclass(frozen=True)
class Reliability:
    """What a reliability diagram shows: (B,) a bin of equally wide bins of confidence from 0 to 1.

    confidence, accuracy: means over the images of a bin, NaN where it has none. count: its images.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy, a bin weighing as its images."""
        held = self.count > 0
        gaps = np.abs(self.confidence[held] - self.accuracy[held])
        return float(gaps @ self.count[held] / self.count.sum())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> Reliability:
    """Sort images by the probability of the class they were given, and see how often that class was right.

    probabilities: (N, C), rows sum to 1. labels: (N,).
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights=each, minlength=bins) for each in (confidence, correct)]
    means = [np.divide(each, count, out=np.full(bins, np.nan), where=count > 0) for each in sums]
    return Reliability(means[0], means[1], count)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error of probabilities (N, C), rows sum to 1, against labels (N,)."""
    return reliability(probabilities, labels, bins).error


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T for which softmax(logits / T) says best how sure to be; the classes given stay the same.

    logits: (N, C) and labels: (N,) of val, never of test. T minimises the mean negative log likelihood. Where every
    image of val is right, that would sharpen without end, as if no image could ever be wrong; so one more image is
    reckoned with that may be of any class, as Platt's targets do for two classes (Platt 1999, "Probabilistic Outputs
    for Support Vector Machines"). With thousands of images it weighs next to nothing. Four decimals: on another machine
    the same logits give the same. Where there is no val, it is 1.
    """
    if not len(labels):
        return 1.0
    scores = logits.astype(np.float64)
    images = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(scores / math.exp(log_temperature), axis=1)
        doubt = log_probabilities.mean()  # the mean image, were all classes equally likely
        return float(-(log_probabilities[images, labels].sum() + doubt) / (len(labels) + 1))

    bounds = [math.log(temperature) for temperature in TEMPERATURES]
    return round(math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x), 4)
