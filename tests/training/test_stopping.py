from __future__ import annotations

import math

from headstart.training.stopping import EarlyStopping


def stopped_after(losses, patience):
    stopping = EarlyStopping(patience)
    for epoch, loss in enumerate(losses, start=1):
        stopping.update(loss)
        if stopping.should_stop:
            return epoch, stopping.best_validation
    return None, stopping.best_validation


def test_it_stops_when_patience_runs_out_and_knows_the_best_epoch():
    assert stopped_after([3, 2, 2.5, 2.1, 1], patience=2) == (4, 2)


def test_an_equal_loss_is_no_improvement():
    assert stopped_after([1, 1, 1], patience=2) == (3, 1)


def test_without_patience_it_never_stops():
    assert stopped_after([1, 2, 3, 4, 5, 6], patience=None) == (None, 1)


def test_nan_never_improves():
    assert stopped_after([2, math.nan, math.nan], patience=2) == (3, 1)
