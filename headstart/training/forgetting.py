"""What training did to a pre-trained network, on the images at hand: nothing that it was pre-trained on is needed."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from headstart.evaluation.forgetting import function_drift, linear_cka, weight_drift
from headstart.models.folding import retrainable
from headstart.models.network import Network
from headstart.training.batches import Samples, in_order
from headstart.training.fit import EVALUATION_BATCH

MOST_IMAGES = 2000
FINAL = "features"  # in `cka`, beside the names of pieces: what the old head sees


def forgetting(
    before: Network, after: Network, old_head: nn.Linear, samples: Samples, fabric: Fabric
) -> dict[str, Any]:
    """Compare a network on a pre-trained backbone with what it was before it was trained.

    Both are run by the same arithmetic on what the frozen part gave, of MOST_IMAGES of `samples` at most, evenly
    chosen. Returns how many these were; `agreement` and `divergence` of what the old head says of them; the relative
    `weight_distance` of the backbone, frozen pieces included, and `by_piece`; and `cka`, of each piece that was trained
    and of the final features. What is not a finite number is None. See `evaluation.forgetting`.
    """
    some = _evenly(samples, MOST_IMAGES)
    old, new = (_features(network, some, fabric) for network in (before, after))
    size = old_head.in_features  # beside them stand, where all is frozen, those of earlier stages
    logits = [old_head(given[FINAL][:, -size:]).numpy() for given in (old, new)]
    function = function_drift(*logits)
    weights = weight_drift(_folded_weights(before), _folded_weights(after), group=lambda name: name.split(".")[0])
    cka = {name: linear_cka(given.numpy(), new[name].numpy()) for name, given in old.items()}
    return {
        "images": len(some),
        "agreement": function.agreement,
        "divergence": function.divergence,
        "weight_distance": _finite(weights.distance),
        "by_piece": {name: _finite(distance) for name, distance in weights.by_group.items()},
        "cka": {name: _finite(value) for name, value in cka.items()},
    }


def _evenly(samples: Samples, most: int) -> Samples:
    """At most so many of the samples, under their first view, evenly chosen: data sets may lie class by class."""
    rows = torch.linspace(0, len(samples) - 1, min(len(samples), most), dtype=torch.float64).round().long()
    labels = samples.labels[rows.to(samples.labels.device)]
    return Samples(samples.inputs, samples.rows[:1, rows], labels, samples.views[:1])


@torch.inference_mode()
def _features(network: Network, samples: Samples, fabric: Fabric) -> dict[str, Tensor]:
    """What each trained piece with weights gives, pooled over space, and what the head is given: (N, C) float32."""
    found: dict[str, list[Tensor]] = {}

    def keep(name: str, given: Tensor) -> None:
        found.setdefault(name, []).append(_pooled(given.float()).cpu())

    *body, _ = network.trainable.eval().children()  # all but the head
    hooks = [
        piece.register_forward_hook(lambda _, __, given, name=name: keep(name, given))
        for part in network.trainable.get_submodule("backbone").children()
        for name, piece in part.named_children()
        if any(True for _ in piece.parameters())
    ]
    for inputs, _ in in_order(samples, 0, EVALUATION_BATCH, fabric.device):
        with fabric.autocast():
            keep(FINAL, nn.Sequential(*body)(inputs))
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(batches) for name, batches in found.items()}


def _pooled(maps: Tensor) -> Tensor:
    """Means over space (N, C) of maps (N, C, S, S) or (N, S, S, C), or of tokens (N, L, C); features stay."""
    if maps.ndim == 4:
        return maps.mean(dim=(2, 3) if maps.shape[2] == maps.shape[3] else (1, 2))
    return maps.mean(dim=1) if maps.ndim == 3 else maps


def _folded_weights(network: Network) -> dict[str, np.ndarray]:
    """Piece and tensor -> weights of a whole backbone, BatchNorm folded into them in what is frozen too: so a piece
    weighs the same wherever the network is cut, and statistics that drift show."""
    parts = list(network.trainable.get_submodule("backbone").children())
    if len(network.frozen):
        preprocessing, *pieces = copy.deepcopy(network.frozen).cpu().named_children()
        shape = preprocessing[1](torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1:]
        parts = [*retrainable(nn.Sequential(OrderedDict(pieces)), shape, fold=True), *parts]
    return {
        f"{name}.{key}": value.detach().float().cpu().numpy()
        for part in parts
        for name, piece in part.named_children()
        for key, value in piece.named_parameters()
    }


def _finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return value if math.isfinite(value) else None
