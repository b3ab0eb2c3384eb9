"""What it is worth to train the new head before the backbone learns too, and what lies between the two sets of weights.

Kumar et al. 2022 (arXiv 2202.10054) fit the head first; Wortsman et al. 2022 (arXiv 2109.01903) mix the weights in the
end. For each data set, strategy and start: accuracy on val, and on what share of images the old head still agrees,
after every epoch and along the line; means and standard deviations over seeds. Test is not seen. At 64 pixels, as the
curve of docs/results/2026-11-25-unfreezing.

    python bench/start.py DATA:TRAIN_IMAGES ... [-- STRATEGY ...]    DATA: cifar10, or a folder of photos
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from headstart.data.dataset import Dataset, Split
from headstart.data.load import load
from headstart.data.splits import stratified
from headstart.models.backbones import load_backbone
from headstart.runtime.device import hardware, make_fabric, seed_all
from headstart.strategies import STRATEGIES, with_enough_steps, with_recipe
from headstart.training.fit import TrainVal, Watch, fit
from headstart.training.forgetting import Original
from headstart.training.mixtures import Line, fit_head
from headstart.training.preparation import Pretrained

SEEDS = (0, 1, 2)
SIZE = 64


def measured(data: Dataset, name: str, head_first: bool, seed: int) -> Iterator[dict[str, Any]]:
    """A row an epoch, then a row a mixture."""
    fabric = make_fabric("cpu")
    strategy = with_enough_steps(with_recipe(STRATEGIES[name], validate_every=1), len(data.train))
    backbone = load_backbone("tf_efficientnet_lite0.in1k", SIZE, offline=True)
    shared = Pretrained(backbone, [strategy.frozen_share], data.image_shape, fabric.device)
    seed_all(seed)
    prepared = shared.prepare(strategy, data)
    samples = TrainVal(*(prepared.samples(part, strategy.recipe.views)[0] for part in (data.train, data.val)))
    one_view = TrainVal(samples.train.evenly(len(samples.train)), samples.val.evenly(len(samples.val)))
    before = copy.deepcopy(prepared.network)
    original = Original(before, prepared.old_head, samples.val, fabric)
    if head_first:
        fit_head(prepared.network, one_view, fabric, seed)
    rows: list[dict[str, Any]] = []

    def tell(row: dict[str, Any]) -> None:
        agreement = original.forgotten(prepared.network)["agreement"]
        rows.append({"at": f"epoch {row['epoch']:g}", "accuracy": row["val_accuracy"], "agreement": agreement})

    fit(prepared.network.trainable, TrainVal(samples.train, one_view.val), strategy.recipe, fabric, seed, Watch(tell))
    yield from rows
    line = Line.of(before, prepared.network, one_view, fabric, seed)
    for row in line.measured(one_view.val, original, fabric):
        yield {"at": f"{row['share']:.0%} mixed", "accuracy": row["accuracy"], "agreement": row["agreement"]}


def cut(data: Dataset, count: int) -> Dataset:
    """So many images to train on, evenly of all classes, and as many others as val, 5,000 at most; test is left out."""
    split = data.splits[0]
    known = np.concatenate([split.train, split.val])
    train, rest = (known[rows] for rows in stratified(data.labels[known], len(known) - count, seed=0))
    return data.with_splits(Split("start", np.sort(train), np.sort(rest[:5000]), split.test[:0]))


def main(arguments: list[str]) -> None:
    """Print a table a data set and strategy."""
    given, _, names = " ".join(arguments).partition(" -- ")
    print(f"# {hardware(make_fabric('cpu').device)}, {SIZE} pixels, seeds {SEEDS}", flush=True)
    for place in given.split():
        where, _, count = place.rpartition(":")
        data = cut(load(where, image_size=SIZE), int(count))
        for name in names.split() or ("last50", "full"):
            found = pd.DataFrame(
                {"start": "head first" if first else "as it is", **row}
                for first in (False, True)
                for seed in SEEDS
                for row in measured(data, name, first, seed)
            )
            table = found.groupby(["at", "start"], sort=False).agg(["mean", "std"]).mul(100).round(2).unstack()
            print(
                f"\n{where}, {len(data.train):,} training and {len(data.val):,} val images, {name}\n{table.to_string()}"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
