"""When to stop: an object that is fed numbers."""

from __future__ import annotations

import math


class EarlyStopping:
    """Watches a loss, one value an epoch; `patience` epochs without a new lowest one are enough (None: never)."""

    def __init__(self, patience: int | None):
        self.patience = patience
        self.best = math.inf
        self.best_epoch = 0
        self.epoch = 0

    def update(self, loss: float) -> bool:
        """Take the next epoch's loss; True when it is the lowest so far. NaN never is."""
        self.epoch += 1
        if loss < self.best:
            self.best, self.best_epoch = loss, self.epoch
            return True
        return False

    @property
    def should_stop(self) -> bool:
        """True once patience has run out."""
        return self.patience is not None and self.epoch - self.best_epoch >= self.patience
