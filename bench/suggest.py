"""What 50 more labels are worth: suggested, least margin, or at random; a linear head on what `frozen` sees.

python bench/suggest.py HANDS      accuracy before and after, mean of DRAWS, paired differences from random; minutes
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

import headstart as hs
from headstart.data.arrays import from_arrays
from headstart.inference.suggest import chosen
from headstart.models.backbones import EFFICIENTNET_LITE0, load_backbone
from headstart.training.preparation import Pretrained

DRAWS, LABELLED, MORE, IMAGES, PIXELS = 60, 40, 50, 1500, 96


def features_of(images: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(N, D) float32, standardised, 256 principal components."""
    data = from_arrays(images, labels, names).whole
    shared = Pretrained(
        load_backbone(EFFICIENTNET_LITE0, PIXELS, offline=True), (1.0,), data.image_shape, torch.device("cpu")
    )
    samples, _ = shared.frozen_pass.samples(data.train, ("identity",), shared.cuts[1.0])
    values = samples.taken(0, slice(None), torch.device("cpu")).flatten(1).numpy()
    values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
    left, scale, _ = np.linalg.svd(values, full_matrices=False)
    return (left * scale)[:, :128] / np.sqrt(values.shape[1])


def measure(name: str, images: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Print a row a way to choose."""
    features = features_of(images, labels, names)
    right: dict[str, list[float]] = {"before": [], "random": [], "margin": [], "suggested": []}
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(labels))
        known, test, pool = order[:LABELLED], order[LABELLED : len(order) * 2 // 5], order[len(order) * 2 // 5 :]

        def head(rows: np.ndarray) -> LogisticRegression:
            return LogisticRegression(C=1.0, max_iter=200).fit(features[rows], labels[rows])

        first = head(known)
        sure = softmax(first.decision_function(features[pool]), axis=1)
        top = np.sort(sure, axis=1)
        ways = {
            "random": np.arange(MORE),
            "margin": np.argsort(top[:, -1] - top[:, -2])[:MORE],
            "suggested": chosen(features[pool], sure, MORE, seed),
        }
        right["before"].append(first.score(features[test], labels[test]))
        for way, rows in ways.items():
            right[way].append(head(np.concatenate([known, pool[rows]])).score(features[test], labels[test]))
    for way, each in right.items():
        gaps = 100 * (np.array(each) - right["random"])
        error = gaps.std(ddof=1) / np.sqrt(DRAWS)
        print(f"{name:8} {way:10} {100 * np.mean(each):5.1f} %  {gaps.mean():+5.1f} ± {error:.1f}", flush=True)


if __name__ == "__main__":
    hands, cifar = hs.load(sys.argv[1], fit="stretch"), hs.load("cifar10")
    measure("hands", hands.images[:], hands.labels, hands.class_names)
    some = np.random.default_rng(0).permutation(len(cifar))[:IMAGES]
    measure("cifar10", cifar.images[some], cifar.labels[some], cifar.class_names)
