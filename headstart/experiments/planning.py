"""What fits into a time limit: image size and epochs, planned from a short measurement before anything is trained."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.runtime.console import say
from headstart.strategies import Strategy, with_epochs
from headstart.training.batches import Samples
from headstart.training.fit import fit, predict
from headstart.training.forgetting import MOST_IMAGES
from headstart.training.preparation import Prepared, Pretrained, side_seen

PROBE_STEPS = 4
RESERVE = 0.05  # of the limit: for what is not measured (files, figures), and for a machine that turns slower
LARGEST_PASS = 0.5  # the most that the frozen pass may take of the time of the strategies that share it
LARGEST_EPOCH = 0.25  # the most that an epoch of a strategy which freezes nothing may take of its time
EPOCH_PASSES = 3  # an epoch in passes over the same images: its backward computes twice what its forward does
IMAGE_SIZES = (224, 192, 160, 128, 96, 64)  # pixels a side


@dataclass(frozen=True)
class Plan:
    """What one strategy is given to do for each seed, and how many seconds that is expected to take.

    pass_seconds: its part of the frozen pass, which all seeds and all strategies on one backbone share.
    """

    strategy: str
    epochs: int
    epoch_seconds: float
    pass_seconds: float
    test_seconds: float

    def seconds(self, seeds: int) -> float:
        """All of it, for so many seeds."""
        return self.pass_seconds + seeds * (self.epochs * self.epoch_seconds + self.test_seconds)


def epochs_within(seconds: float, epoch_seconds: float) -> int:
    """How many whole epochs fit into so many seconds; at least one."""
    return max(1, int(seconds / epoch_seconds))


def size_within(seconds: float, pass_seconds: float, image_size: int) -> int:
    """The largest size, `image_size` or below, at which what takes `pass_seconds` at `image_size` takes `seconds` at
    most, or the smallest. It grows with the area."""
    sizes = [image_size, *(size for size in IMAGE_SIZES if size < image_size)]
    affordable = (size for size in sizes if pass_seconds * (size / image_size) ** 2 <= seconds)
    return next(affordable, sizes[-1])


def at_affordable_size(
    limit: float, strategies: Sequence[Strategy], data: Dataset, pretrained: Pretrained
) -> Pretrained:
    """The shared backbone at the image size that the limit affords; as it is, where it takes one size only."""
    backbone = pretrained.backbone
    size = affordable_size(limit, strategies, data, pretrained) if backbone.takes_any_size else backbone.image_size
    if size == backbone.image_size:
        return pretrained
    return Pretrained(backbone.at(size), strategies, data, pretrained.device)


def affordable_size(limit: float, strategies: Sequence[Strategy], data: Dataset, pretrained: Pretrained) -> int:
    """The image size, at most the backbone's present one, that leaves its strategies time to train within the limit.

    Where something is frozen, the pass may take its part of the time; where nothing is, an epoch may, which is known
    roughly: from the quickest inference.
    """
    share = (1 - RESERVE) * limit / len(strategies)
    size = pretrained.backbone.image_size
    sizes = [size]
    if pretrained.freezing:
        seconds = pass_seconds(strategies, data, pretrained)
        sizes.append(size_within(LARGEST_PASS * share * len(pretrained.freezing), seconds, size))
    if len(pretrained.freezing) < len(pretrained.cuts):
        epoch_seconds = EPOCH_PASSES * len(data.train) * pretrained.engine["image_seconds"]
        sizes.append(size_within(LARGEST_EPOCH * share, epoch_seconds, size))
    return min(sizes)


def pass_seconds(strategies: Sequence[Strategy], data: Dataset, pretrained: Pretrained) -> float:
    """What the frozen pass will take, by the measurement that chose its engine; a view counts as images of its own."""
    recipes = [strategy.recipe for strategy in strategies if strategy.name in pretrained.freezing]
    views = len({view for recipe in recipes for view in recipe.views})
    test_views = len({view for recipe in recipes for view in recipe.test_views})
    images = views * len(data.train) + len(data.val) + test_views * len(data.test)
    return pretrained.engine["setup_seconds"] + images * pretrained.engine["image_seconds"]


def plan(
    limit: float,
    strategies: Sequence[Strategy],
    prepare: Callable[[Strategy], Prepared],
    data: Dataset,
    pretrained: Pretrained | None,
    seeds: int,
    fabric: Fabric,
) -> dict[str, Plan]:
    """Share `limit` seconds equally between strategies, find out how long an epoch of each takes, and show the plan.

    Returns strategy -> Plan. A strategy gets one epoch at least, also where the limit has no room for it; then a line
    says so.
    """
    share = (1 - RESERVE) * limit / len(strategies)
    freezing = [] if pretrained is None else pretrained.freezing
    part = pass_seconds(strategies, data, pretrained) / len(freezing) if pretrained is not None and freezing else 0.0
    plans = []
    for strategy in strategies:
        epoch_seconds, test_seconds = measure(strategy, prepare(strategy), data, fabric)
        frozen = part if strategy.name in freezing else 0.0
        epochs = epochs_within((share - frozen) / seeds - test_seconds, epoch_seconds)
        plans.append(Plan(strategy.name, epochs, epoch_seconds, frozen, test_seconds))
    _show(plans, limit, seeds)
    return {each.strategy: each for each in plans}


def _show(plans: Sequence[Plan], limit: float, seeds: int) -> None:
    say(f"plan for {limit:.0f} s:   epochs   s an epoch   frozen pass   in all   ready at")
    clock = time.time()
    for each in plans:
        clock += each.seconds(seeds)
        say(
            f"  {each.strategy:16} {seeds * each.epochs:8} {each.epoch_seconds:12.1f} {each.pass_seconds:11.0f} s"
            f" {each.seconds(seeds):6.0f} s   {time.strftime('%H:%M:%S', time.localtime(clock))}"
        )
    if (total := sum(each.seconds(seeds) for each in plans)) > limit:
        say(f"one epoch of each takes {total:.0f} s: the limit of {limit:.0f} s cannot be kept")


def measure(strategy: Strategy, prepared: Prepared, data: Dataset, fabric: Fabric) -> tuple[float, float]:
    """Seconds of an epoch (training and the look at val) and of the evaluation on test, from a few steps on noise.

    They are taken on a copy of the trainable part: nothing of the run to come is touched.
    """
    recipe = with_epochs(strategy, 1).recipe
    samples = noise(prepared, data, min(PROBE_STEPS * recipe.batch_size, len(data.train)), recipe.views)
    model = copy.deepcopy(prepared.network.trainable).to(fabric.device)
    marks: list[float] = []

    def mark(images: int) -> None:
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    for _ in range(2):  # the first round also pays for what happens only once
        marks.clear()
        mark(0)
        fit(model, samples, samples, recipe, fabric, seed=0, on_batch=mark)
    step_seconds = min(after - before for before, after in pairwise(marks))  # the others were disturbed
    started = time.perf_counter()
    predict(model, samples, fabric).sum().item()
    predict_seconds = (time.perf_counter() - started) / len(samples)  # an image
    steps = max(1, len(data.train) // recipe.batch_size)
    tests = len(data.val) + len(recipe.test_views) * len(data.test)  # val once more, for the temperature
    if prepared.old_head is not None:  # what it forgot is asked of the network before and after
        tests += 2 * min(MOST_IMAGES, len(data.test))
    return steps * step_seconds + len(data.val) * predict_seconds, tests * predict_seconds


def noise(prepared: Prepared, data: Dataset, count: int, views: tuple[str, ...]) -> Samples:
    """So many samples as the trainable part will see them, of random content."""
    labels = torch.arange(count) % len(data.class_names)
    if not len(prepared.network.frozen):
        side = side_seen(data, prepared.spec["image_size"])
        pixels = torch.randint(0, 256, (count, side, side, data.image_shape[2]), dtype=torch.uint8)
        return Samples.of_images(pixels.numpy(), labels.numpy(), views, torch.device("cpu"))
    with torch.no_grad():
        shape = prepared.network.frozen(torch.zeros(1, *data.image_shape, dtype=torch.uint8).permute(0, 3, 1, 2)).shape[
            1:
        ]
    return Samples(tuple(torch.randn(count, *shape).half() for _ in views), labels, views)
