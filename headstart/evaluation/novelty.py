"""Which pictures resemble nothing in training. Pure functions of what a network's last linear layer is given.

Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors" (arXiv 2204.06507).
"""

from __future__ import annotations

import math

import numpy as np

FLAGGED = 0.01  # the share of pictures like those of val that is flagged


def normalised(features: np.ndarray) -> np.ndarray:
    """Features (N, D) as float32 of length 1; those that are 0 stay so."""
    values = features.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def distances(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(N,) float32, 0 to 2: how far features (N, D) are from the nearest of training's, reference (M, D); 1 less the
    cosine."""
    return 1 - (normalised(features) @ normalised(reference).T).max(axis=1)


def threshold(known: np.ndarray, share: float = FLAGGED) -> float:
    """The distance that a new picture exceeds with a probability of `share` at most, where it is like the n pictures
    that `known` (n,) distances are of, none of which training saw.

    Where they are fewer than 1 / share - 1 they cannot tell so much: it is the largest of them, exceeded with a
    probability of 1 / (n + 1). Bates et al. 2023, "Testing for outliers with conformal p-values" (arXiv 2104.08279).
    """
    rank = min(len(known), math.ceil((len(known) + 1) * (1 - share)))
    return float(np.sort(known)[rank - 1])
