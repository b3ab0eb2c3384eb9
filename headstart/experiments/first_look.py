"""An answer within the first minute: a new head on frozen features of as many images as that leaves time for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset, Split
from headstart.data.splits import nested_order
from headstart.evaluation.statistics import Interval, accuracy_interval
from headstart.experiments.trial import Setting, pretrained
from headstart.report import count, percent
from headstart.runtime.device import seed_all
from headstart.strategies import Candidate
from headstart.training.fit import TrainVal, fit, predict

PASS_SECONDS = 20.0  # of the frozen pass; what it gives is kept, and not computed again
LIMIT_SHARE = 0.05  # of a time limit, that it takes at most
VAL_SHARE = 0.2
VIEWS = ("identity",)


@dataclass(frozen=True)
class Look:
    """What a candidate that freezes all of its backbone gives early on.

    interval: of its accuracy on `val` images of val. train: how many images it was trained on, of how many there are.
    seconds: since the comparison was asked for.
    """

    candidate: str
    interval: Interval
    train: int
    of_train: int
    val: int
    seconds: float

    @property
    def headline(self) -> str:
        """In four words."""
        return f"{self.candidate} about {percent(self.interval.value, 0)}"

    @property
    def said(self) -> str:
        """In a line."""
        return (
            f"{self.headline} ({100 * self.interval.low:.0f} to {100 * self.interval.high:.0f}) after "
            f"{self.seconds:.0f} s: trained on {count(self.train)} of {count(self.of_train)} images, tried on "
            f"{count(self.val)} of val"
        )


def first_look(
    candidates: Sequence[Candidate],
    data: Dataset,
    fabric: Fabric,
    setting: Setting,
    started: float,
    limit: float | None = None,
) -> Look | None:
    """Train the head of a wholly frozen backbone on some of train, and see how it does on some of val.

    started: when the comparison was asked for, by `time.perf_counter`; limit: the seconds that it may take.
    None where no candidate is one, where there is no val, or where all of the images take no longer than these would.
    The images of test are not touched. Val chooses the epoch that is kept, as in every training.
    """
    frozen = [each for each in candidates if each.weights is not None and each.strategy.frozen_share == 1]
    if not frozen or not len(data.val):
        return None
    shared = pretrained(frozen[0].weights, setting.shares, data.image_shape, fabric.device)
    seconds = PASS_SECONDS if limit is None else min(PASS_SECONDS, LIMIT_SHARE * limit)
    images = max(int(seconds / shared.engine()["image_seconds"]), 10 * len(data.class_names))
    if images >= len(data.train) + len(data.val):
        return None
    few = some_of(data, images)
    strategy = replace(frozen[0].strategy, recipe=replace(frozen[0].strategy.recipe, views=VIEWS))
    seed_all(0)
    prepared = shared.prepare(strategy, few)
    samples = TrainVal(prepared.samples(few.train, VIEWS)[0], prepared.samples(few.val, VIEWS)[0])
    model = prepared.network.trainable.to(fabric.device)
    fit(model, samples, strategy.recipe, fabric, seed=0)
    right = (predict(model, samples.val, fabric).argmax(dim=1).cpu() == samples.val.labels.cpu()).sum().item()
    return Look(
        frozen[0].name,
        accuracy_interval(int(right), len(few.val)),
        len(few.train),
        len(data.train),
        len(few.val),
        time.perf_counter() - started,
    )


def some_of(data: Dataset, images: int) -> Dataset:
    """About so many images of train and val, class by class in the shares that they have there, and none of test."""

    def first(rows: np.ndarray, count: int) -> np.ndarray:
        order = nested_order(data.labels[rows], data.contents[rows], 0)
        return rows[np.sort(order[: max(count, len(data.class_names))])]

    split, val = data.splits[0], int(VAL_SHARE * images)
    return data.with_splits(Split(split.name, first(split.train, images - val), first(split.val, val), split.test[:0]))
