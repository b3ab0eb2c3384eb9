"""Labels that a good classifier disbelieves."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import softmax


def label_suspects(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices of images whose label is probably wrong, the likeliest first.

    logits: (N, C) of a classifier that was not trained on these images. labels: (N,). Confident learning, Northcutt et
    al. 2021 (arXiv 1911.00068), by cleanlab: a label is suspected where another class is more likely than it is, on
    average, for the images that bear that other label. Suspicion is no proof: it also falls on hard images.
    """
    from cleanlab.filter import find_label_issues  # a second to import, and needed once a comparison

    probabilities = softmax(logits.astype(np.float64), axis=1)
    with warnings.catch_warnings():  # of a class with one image, of which nothing can be suspected
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
        found = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(found)
