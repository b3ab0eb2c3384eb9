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


class Original:
    """A network on a pre-trained backbone as it was before it was trained, to compare others with.

    Each is run by the same arithmetic on what the frozen part gave, of MOST_IMAGES of `samples` at most, evenly chosen.
    """

    def __init__(self, network: Network, old_head: nn.Linear, samples: Samples, fabric: Fabric):
        self.old_head, self.fabric = old_head, fabric
        self.samples = samples.evenly(MOST_IMAGES)
        self.features, self.weights = _features(network, self.samples, fabric), _folded_weights(network)

    def forgotten(self, after: Network) -> dict[str, Any]:
        """What training made of it: how many `images` were asked about; `agreement` and `divergence` of what the old
        head says of them; the relative `weight_distance` of the backbone, frozen pieces included, and `by_piece`; and
        `cka`, of each piece that was trained and of the final features. What is not a finite number is None. See
        `evaluation.forgetting`."""
        old, new = self.features, _features(after, self.samples, self.fabric)
        size = self.old_head.in_features  # beside them stand, where all is frozen, those of earlier stages
        logits = [self.old_head(given[FINAL][:, -size:]).numpy() for given in (old, new)]
        function = function_drift(*logits)
        weights = weight_drift(self.weights, _folded_weights(after))
        cka = {name: linear_cka(given.numpy(), new[name].numpy()) for name, given in old.items()}
        return {
            "images": len(self.samples),
            "agreement": function.agreement,
            "divergence": function.divergence,
            "weight_distance": _finite(weights.distance),
            "by_piece": {name: _finite(distance) for name, distance in weights.by_group.items()},
            "cka": {name: _finite(value) for name, value in cka.items()},
        }


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
