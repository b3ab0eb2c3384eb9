"""What a shorter recipe costs in accuracy: measured, so that a time limit is spent where it brings most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.strategies import Strategy


@dataclass(frozen=True)
class Shape:
    """What all candidates on one backbone share.

    image_size: pixels a side. views: how many of a recipe's views training sees. None: as the recipe has it.
    """

    image_size: int | None = None
    views: int | None = None


WHOLE = Shape()

# Accuracy on val of CIFAR-10, EfficientNet-Lite0: docs/results/2026-11-26-time-limits has the runs, and says which of
# deep-cnn are older; those of its 8 and of all 11 epochs are of docs/results/2026-11-28-compare. Other data is assumed
# to gain in the same places.
EPOCHS = {  # share of a recipe's epochs -> accuracy
    "base-cnn": {0.1: 0.6116, 0.2: 0.6962, 0.4: 0.7632, 0.6: 0.7954, 1.0: 0.8136},
    "deep-cnn": {1 / 11: 0.8280, 3 / 11: 0.904, 6 / 11: 0.9188, 8 / 11: 0.9281, 1.0: 0.9300},
    "frozen": {0.1: 0.8924, 1.0: 0.9296},
    "last20": {0.5: 0.9474, 1.0: 0.9522},
}
SIZES = {  # pixels a side -> what is lost to the whole 192
    "frozen": {128: 0.0198, 64: 0.0944},
    "last20": {128: 0.0200, 64: 0.1144},
}
ONE_VIEW = {"frozen": 0.0008, "last20": 0.0020}  # what is lost where training sees no mirrored images
CHANCE = 0.1  # with no epoch at all


def shapes(image_size: int | None) -> list[Shape]:
    """The shapes that are weighed where the backbone sees `image_size` pixels a side, or one size only (None)."""
    sizes = [size for size in SIZES["frozen"] if image_size is not None and size < image_size]
    return [Shape(size, views) for size in (None, *sizes) for views in (None, 1)]


def accuracy(strategy: Strategy, shape: Shape, share: float) -> float:
    """What a strategy promises in a shape, of a share of its recipe's epochs; one that was not measured, what its like
    does."""
    like = "deep-cnn" if strategy.frozen_share is None else "last20"
    shares, accuracies = zip(*EPOCHS.get(strategy.name, EPOCHS[like]).items(), strict=True)
    promised = float(np.interp(share, (0.0, *shares), (CHANCE, *accuracies)))
    on_backbone = strategy.name if strategy.name in SIZES else "last20"
    if shape.image_size is not None:
        promised -= SIZES[on_backbone][shape.image_size]
    return promised - (ONE_VIEW[on_backbone] if shape.views == 1 else 0.0)
