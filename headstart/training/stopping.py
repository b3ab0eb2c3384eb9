"""When to stop: an object that is fed numbers."""

from __future__ import annotations

import math


class EarlyStopping:
    """Watches a loss, a value a look; `patience` looks without a new lowest one are enough (None: never)."""

    def __init__(self, patience: int | None):
        self.patience = patience
        self.best = math.inf
        self.best_look = 0
        self.look = 0

    def update(self, loss: float) -> bool:
        """Take the loss of the next look; True when it is the lowest so far. NaN never is."""
        self.look += 1
        if loss < self.best:
            self.best, self.best_look = loss, self.look
            return True
        return False

    @property
    def should_stop(self) -> bool:
        """True once patience has run out."""
        return self.patience is not None and self.look - self.best_look >= self.patience
