"""Retrained networks beside what they were: what they forgot, their mixtures, and which of these is kept."""

from __future__ import annotations

from typing import Any

from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.models.network import Network
from headstart.training.fit import TrainVal
from headstart.training.forgetting import Original
from headstart.training.mixtures import Line, best_share
from headstart.training.preparation import Prepared


def original_of(before: Network, prepared: Prepared, data: Dataset, fabric: Fabric) -> Original | None:
    """A pre-trained backbone before training, to be compared by images of test; None where none was, or it had no
    head."""
    if prepared.old_head is None:
        return None
    samples, _ = prepared.samples(data.test, ("identity",), exact=True)
    return Original(before, prepared.old_head, samples, fabric)


def mixed(
    before: Network,
    prepared: Prepared,
    data: Dataset,
    original: Original | None,
    fabric: Fabric,
    seed: int,
    is_wise: bool,
) -> dict[str, Any] | None:
    """What mixtures of a retrained network with what it was say on val, which of them is the best, and which is kept:
    that one where it `is_wise`. None where nothing was retrained, or there is no val."""
    if not prepared.retrained or not len(data.val):
        return None
    train_samples, val_samples = (prepared.samples(part, ("identity",))[0] for part in (data.train, data.val))
    line = Line.of(before, prepared.network, TrainVal(train_samples, val_samples), fabric, seed)
    rows = line.measured(val_samples, original, fabric)
    best = best_share(rows)
    kept = best if is_wise else 1.0
    if kept < 1:
        keep(prepared.network, line, kept)
    return {"rows": rows, "best": best, "kept": kept}


def keep(network: Network, line: Line, share: float) -> None:
    """Give a network the weights of a mixture."""
    network.load_state_dict(line.at(share).state_dict())
