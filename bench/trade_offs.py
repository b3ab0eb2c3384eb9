"""What shorter recipes give: accuracy on val of CIFAR-10, by epochs, image size and views. One seed; test is not seen.

Each argument is a plan as `headstart compare --plan` takes it; without any, those behind
`headstart/experiments/trade_offs.py`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from headstart.data.dataset import Dataset, Split
from headstart.data.load import load
from headstart.models.backbones import load_backbone
from headstart.plan import Plan
from headstart.runtime.device import hardware, make_fabric, seed_all
from headstart.strategies import STRATEGIES
from headstart.training.fit import TrainVal, fit, predict
from headstart.training.preparation import Pretrained, prepare

SIZES = (192, 128, 64)
PLANS = (
    *(f"base-cnn={epochs}" for epochs in (0.5, 1, 2, 3, 5)),
    *(f"deep-cnn={epochs}" for epochs in (1, 3, 6)),
    "frozen=1,size=192",
    *(f"frozen=10,size={size}" for size in SIZES),
    "last20=4,size=192",
    *(f"last20=2,size={size}" for size in SIZES),
    "frozen=10,size=192,views=1",
    "last20=2,size=192,views=1",
)


def main(texts: list[str]) -> None:
    """Print a row a plan."""
    fabric = make_fabric("cpu")
    whole = load("cifar10")
    split = whole.splits[0]
    data = whole.with_splits(Split(split.name, split.train, split.val, split.test[:0]))
    print(f"# {hardware(fabric.device)}\nplan,accuracy,accuracy_tta,loss,pass_seconds,seconds", flush=True)
    backbones: dict[int, Pretrained] = {}
    for text in texts:
        plan = Plan.of(text)
        strategy = plan.apply(STRATEGIES[plan.candidate])
        shared = None
        if strategy.network == "backbone":
            size = plan.image_size or SIZES[0]
            if size not in backbones:
                backbone = load_backbone("tf_efficientnet_lite0.in1k", size, offline=True)
                shares = sorted({each.frozen_share for each in STRATEGIES.values() if each.by_default} - {None})
                backbones[size] = Pretrained(backbone, shares, data.image_shape, fabric.device)
            shared = backbones[size]
        print(text.replace(",", " "), *measured(strategy, shared, data, fabric), sep=",", flush=True)


def measured(strategy, shared, data: Dataset, fabric) -> list[str]:
    """Accuracy on val of images as they are, and averaged over the test views; its loss; seconds of pass and fit."""
    seed_all(0)
    prepared = prepare(strategy, data, shared, None, fabric.device)
    train, pass_seconds = prepared.samples(data.train, strategy.recipe.views)
    views = strategy.recipe.test_views if prepared.network.frozen is None or train.are_images else ("identity",)
    val, _ = prepared.samples(data.val, views)
    model = prepared.network.trainable
    started = time.perf_counter()
    fit(model, TrainVal(train, replace(val, views=("identity",), rows=val.rows[:1])), strategy.recipe, fabric, seed=0)
    seconds = time.perf_counter() - started
    logits = [predict(model, val, fabric, view) for view in range(len(views))]

    def accuracy(given: torch.Tensor) -> str:
        return f"{np.mean((given.argmax(1) == val.labels).numpy()):.4f}"

    loss = F.cross_entropy(logits[0], val.labels, label_smoothing=strategy.recipe.label_smoothing)
    averaged = accuracy(torch.stack(logits).mean(0)) if len(views) > 1 else ""
    return [accuracy(logits[0]), averaged, f"{loss:.4f}", f"{pass_seconds:.0f}", f"{seconds:.0f}"]


if __name__ == "__main__":
    main(sys.argv[1:] or list(PLANS))
