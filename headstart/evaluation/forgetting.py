"""What retraining did to a network, told without the data it was first trained on.

Three views: does its old head still say the same of the same images, how far have its weights moved, and do its
features still span the same space. They belong together: CKA alone can change without a change of function, and the
reverse (Davari et al. 2023, "Reliability of CKA as a Similarity Measure in Deep Learning"). A frozen network scores no
drift at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax


@dataclass(frozen=True)
class FunctionDrift:
    """agreement: share of images that are given the same class. divergence: mean KL(before || after), in nats."""

    agreement: float
    divergence: float


@dataclass(frozen=True)
class WeightDrift:
    """How far weights moved, as a fraction of their length; 0 is not at all.

    distance: over all tensors together. by_group: the same for each group of tensors.
    """

    distance: float
    by_group: dict[str, float]


def function_drift(before: np.ndarray, after: np.ndarray) -> FunctionDrift:
    """Compare what the original head says of the same images on the original and on the retrained network.

    before, after: (N, C) logits.
    """
    old, new = (log_softmax(logits.astype(np.float64), axis=1) for logits in (before, after))
    agreement = (before.argmax(axis=1) == after.argmax(axis=1)).mean()
    divergence = (np.exp(old) * (old - new)).sum(axis=1).mean()
    return FunctionDrift(float(agreement), max(0.0, float(divergence)))  # rounding could leave it just below zero


def weight_drift(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> WeightDrift:
    """||after - before|| / ||before|| over the tensors that both networks have under one name and shape.

    before, after: tensor name -> array. Other tensors, a new head's, are passed over, and so are whole numbers:
    counters are no weights. Statistics of BatchNorm count where they are given. A tensor's group is
    what stands before the first dot of its name: 'blocks_6_0' of 'blocks_6_0.conv_pw.weight'.
    """
    names = [
        name
        for name, tensor in before.items()
        if name in after and after[name].shape == tensor.shape and np.issubdtype(tensor.dtype, np.floating)
    ]
    moved: dict[str, float] = {}  # group -> sum of squares
    length: dict[str, float] = {}
    for name in names:
        old, new = before[name].astype(np.float64), after[name].astype(np.float64)
        group = name.split(".")[0]
        moved[group] = moved.get(group, 0.0) + float(np.sum((new - old) ** 2))
        length[group] = length.get(group, 0.0) + float(np.sum(old**2))
    return WeightDrift(
        distance=_ratio(sum(moved.values()), sum(length.values())),
        by_group={name: _ratio(moved[name], length[name]) for name in moved},
    )


def _ratio(moved: float, length: float) -> float:
    """Of two sums of squares; what has not moved has not moved, also where it was zero."""
    if moved == 0:
        return 0.0
    return math.sqrt(moved / length) if length else math.inf


def linear_cka(features: np.ndarray, others: np.ndarray) -> float:
    """Linear centred kernel alignment of two sets of features of the same images: 1 is the same space, 0 none shared.

    features: (N, F1), others: (N, F2). Rotating or scaling either changes nothing. Kornblith et al. 2019, "Similarity
    of Neural Network Representations Revisited", in the form of feature products, which never holds an N x N matrix.
    With N not far above F1 and F2 even unrelated features score high. NaN where a set does not vary at all.
    """
    if np.array_equal(features, others):
        return 1.0  # exactly: the products below may round differently
    x, y = (_centered(each) for each in (features, others))
    shared, own_x, own_y = (float(np.sum((a.T @ b) ** 2, dtype=np.float64)) for a, b in ((x, y), (x, x), (y, y)))
    if own_x == 0 or own_y == 0:
        return math.nan
    return min(1.0, shared / math.sqrt(own_x * own_y))


def _centered(features: np.ndarray) -> np.ndarray:
    """Each feature about its mean, all scaled together so that their products neither overflow nor vanish."""
    centered = features.astype(np.float64)
    centered -= centered.mean(axis=0)
    centered[:, np.ptp(features, axis=0) == 0] = 0  # the mean of equal numbers may round to another
    centered /= np.abs(centered).max() or 1.0
    return centered.astype(np.result_type(features, np.float32))  # centred and scaled, single precision is enough
