"""When to stop: an object that is fed numbers."""

from __future__ import annotations

import math


class EarlyStopping:
    """Watches the loss on val; `patience` validations without a new lowest one are enough (None: never)."""

    def __init__(self, patience: int | None):
        self.patience = patience
        self.best = math.inf
        self.best_validation = 0
        self.validation = 0

    def update(self, loss: float) -> bool:
        """Take the loss of the next validation; True when it is the lowest so far. NaN never is."""
        self.validation += 1
        if loss < self.best:
            self.best, self.best_validation = loss, self.validation
            return True
        return False

    @property
    def should_stop(self) -> bool:
        """True once patience has run out."""
        return self.patience is not None and self.validation - self.best_validation >= self.patience
