"""What the new head of a retrained tail should be: accuracy on val of four heads, means and deviations over seeds.

`last20` trains one linear layer on the final features; `frozen` has a hidden layer, and sees the means of earlier
stages beside them. Here last20 is trained by its recipe with each of the two, and with both. The earlier stages are
those that it sees: the maps it is given and those of the pieces that it retrains. Test is not seen.

    python bench/head.py DATA:TRAIN_IMAGES ... [-- PIXELS]    DATA: cifar10, or a folder of photos
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from start import SEEDS, cut
from torch import Tensor, nn

from headstart.data.dataset import Dataset
from headstart.data.load import load
from headstart.models.backbones import load_backbone
from headstart.models.build import Head
from headstart.runtime.device import hardware, make_fabric, seed_all
from headstart.strategies import STRATEGIES, with_enough_steps
from headstart.training.fit import TrainVal, fit, predict, score
from headstart.training.preparation import Pretrained

STRATEGY, SIZE = STRATEGIES["last20"], 128  # pixels a side where none are given
HIDDEN = STRATEGIES["frozen"].hidden
HEADS = {  # whether it sees the stages, and its hidden layer
    "linear, final features": (False, 0),
    "hidden, final features": (False, HIDDEN),
    "linear, stages": (True, 0),
    "hidden, stages": (True, HIDDEN),
}


class Staged(nn.Module):
    """A tail that gives, beside its final features, the means of the maps it is given and of those where a stage ends,
    told by a change of channels."""

    def __init__(self, tail: nn.Sequential, x: Tensor):
        super().__init__()
        self.tail, self.maps = tail, list[Tensor]()
        for piece in (piece for part in tail for piece in part):
            piece.register_forward_hook(lambda _, given, gives: self.maps.append(gives))
        with torch.inference_mode():
            tail(x)
        sizes = [x.shape[1], *(each.shape[1] for each in self.maps)]
        maps = [each.ndim == 4 and each.shape[2] > 1 for each in (x, *self.maps)]
        ends = [k for k in range(len(maps) - 1) if maps[k] and sizes[k] != sizes[k + 1]]
        self.ends = [k for k in ends if sizes[k] != sizes[-1]]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F)."""
        self.maps.clear()
        final = self.tail(x)
        maps = [x, *self.maps]
        return torch.cat([*(maps[k].mean((2, 3)).to(final) for k in self.ends), final], dim=1)


def measured(data: Dataset, shared: Pretrained, stages: bool, hidden: int, seed: int) -> dict[str, Any]:
    """Accuracy and loss on val after the whole recipe."""
    fabric = make_fabric("cpu")
    strategy = with_enough_steps(STRATEGY, len(data.train))
    seed_all(seed)
    prepared = shared.prepare(strategy, data)
    train, val = (prepared.samples(part, strategy.recipe.views)[0] for part in (data.train, data.val))
    model: Any = prepared.network.trainable
    x = train.taken(0, slice(0, 2), fabric.device)
    if stages:
        model.backbone = Staged(model.backbone.eval(), x)
    with torch.inference_mode():
        features = model.eval().backbone(x).shape[1]
    model.head = Head(features, len(data.class_names), hidden)
    val = val.evenly(len(val))
    fit(model, TrainVal(train, val), strategy.recipe, fabric, seed)
    loss, accuracy = score(predict(model, val, fabric), val.labels, nn.functional.cross_entropy)
    return {"features": features, "accuracy": 100 * accuracy, "loss": loss}


def main(arguments: Sequence[str]) -> None:
    """Print a table a data set."""
    given, _, pixels = " ".join(arguments).partition(" -- ")
    size = int(pixels or SIZE)
    print(f"# {hardware(make_fabric('cpu').device)}, {size} pixels, seeds {SEEDS}", flush=True)
    for place in given.split():
        where, _, count = place.rpartition(":")
        data = cut(load(where, image_size=size), int(count))
        backbone = load_backbone("tf_efficientnet_lite0.in1k", size, offline=True)
        shared = Pretrained(backbone, [STRATEGY.frozen_share], data.image_shape, torch.device("cpu"))
        found = pd.DataFrame(
            {"head": name, **measured(data, shared, *head, seed)} for name, head in HEADS.items() for seed in SEEDS
        )
        table = found.groupby("head", sort=False).agg(["mean", "std"]).round(3)
        print(
            f"\n{where}, {len(data.train):,} training and {len(data.val):,} val images\n{table.to_string()}", flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])
