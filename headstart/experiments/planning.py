"""What fits into a time limit: image size and epochs, planned from a short measurement before anything is trained."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.runtime.console import say
from headstart.strategies import Candidate, Strategy, with_epochs
from headstart.training.batches import Samples
from headstart.training.fit import TrainVal, Watch, fit, predict
from headstart.training.forgetting import MOST_IMAGES
from headstart.training.preparation import Prepared, Pretrained, prepare, side_seen

PROBE_STEPS = 4
RESERVE = 0.05  # of the limit: for what is not measured (files), and for a machine that turns slower
CHECKED_SHARE = 0.1  # of the time to fit, that the saved network may be checked for
REPORT_SECONDS = 4.0  # a candidate: figures and page, once after its trial and once at the end
LARGEST_PASS = 0.5  # the most that the frozen pass may take of the time of the strategies that share it
LARGEST_EPOCH = 0.25  # the most that an epoch of a strategy which freezes nothing may take of its time
EPOCH_PASSES = 3  # an epoch in passes over the same images: its backward computes twice what its forward does
IMAGE_SIZES = (224, 192, 160, 128, 96, 64)  # pixels a side


@dataclass(frozen=True)
class Plan:
    """What one candidate is given to do for each seed, and how many seconds that is expected to take.

    pass_seconds: its part of the frozen pass, which all seeds and all candidates on one backbone share.
    """

    candidate: str
    epochs: int
    epoch_seconds: float
    pass_seconds: float
    test_seconds: float

    def seconds(self, seeds: int) -> float:
        """All of it, for so many seeds, the check of the saved network and the report included."""
        fit_seconds = self.pass_seconds + seeds * self.epochs * self.epoch_seconds
        return (1 + CHECKED_SHARE) * fit_seconds + seeds * self.test_seconds + REPORT_SECONDS


def epochs_within(seconds: float, epoch_seconds: float) -> int:
    """How many whole epochs fit into so many seconds; at least one."""
    return max(1, int(seconds / epoch_seconds))


def size_within(seconds: float, pass_seconds: float, image_size: int) -> int:
    """The largest size, `image_size` or below, at which what takes `pass_seconds` at `image_size` takes `seconds` at
    most, or the smallest. It grows with the area."""
    sizes = [image_size, *(size for size in IMAGE_SIZES if size < image_size)]
    affordable = (size for size in sizes if pass_seconds * (size / image_size) ** 2 <= seconds)
    return next(affordable, sizes[-1])


@dataclass(frozen=True)
class Planner:
    """What is to be planned. pretrained: the backbone that candidates share, None where none needs one. image_size:
    pixels a side that was asked for. seeds: how many runs of each candidate there are to be."""

    candidates: Sequence[Candidate]
    data: Dataset
    pretrained: Pretrained | None
    image_size: int | None
    seeds: int
    fabric: Fabric

    @property
    def freezing(self) -> list[str]:
        """The candidates that leave something of the backbone as it is."""
        shared = self.pretrained
        return [each.name for each in self.candidates if each.weights and shared and shared.freezes(each.strategy)]

    def at_affordable_size(self, limit: float) -> Planner:
        """With the backbone at the image size that leaves its candidates time to train within `limit` seconds; as it
        is, where a size was asked for or the backbone takes one only."""
        shared = self.pretrained
        if shared is None or self.image_size is not None or not shared.backbone.takes_any_size:
            return self
        size = self.affordable_size(limit)
        if size == shared.backbone.image_size:
            return self
        smaller = Pretrained(shared.backbone.at(size), tuple(shared.cuts), self.data.image_shape, shared.device)
        return replace(self, pretrained=smaller)

    def affordable_size(self, limit: float) -> int:
        """The image size, at most the backbone's present one, that leaves its candidates time to train.

        Where something is frozen, the pass may take its part of the time; where nothing is, an epoch may, which is
        known roughly: from the quickest inference.
        """
        assert self.pretrained is not None
        share = (1 - RESERVE) * limit / len(self.candidates)
        size = self.pretrained.backbone.image_size
        sizes = [size]
        if self.freezing:
            sizes.append(size_within(LARGEST_PASS * share * len(self.freezing), self.pass_seconds(), size))
        if len(self.freezing) < sum(each.weights is not None for each in self.candidates):
            epoch_seconds = EPOCH_PASSES * len(self.data.train) * self.pretrained.engine["image_seconds"]
            sizes.append(size_within(LARGEST_EPOCH * share, epoch_seconds, size))
        return min(sizes)

    def pass_seconds(self) -> float:
        """What the frozen pass will take, by the measurement that chose its engine; a view counts as images of its
        own."""
        assert self.pretrained is not None
        recipes = [each.strategy.recipe for each in self.candidates if each.name in self.freezing]
        views = {view for recipe in recipes for view in ("identity", *recipe.views, *recipe.test_views)}
        images = len(views) * sum(map(len, self.data.parts.values()))
        return self.pretrained.engine["setup_seconds"] + images * self.pretrained.engine["image_seconds"]

    def plan(self, limit: float) -> dict[str, Plan]:
        """Share `limit` seconds equally between candidates, find out how long an epoch of each takes, and show the
        plan: candidate -> Plan. A candidate gets one epoch at least, also where the limit has no room for it; then a
        line says so."""
        share = (1 - RESERVE) * limit / len(self.candidates) - REPORT_SECONDS
        part = self.pass_seconds() / len(self.freezing) if self.freezing else 0.0
        plans = []
        for each in self.candidates:
            shared = self.pretrained if each.weights is not None else None
            prepared = prepare(each.strategy, self.data, shared, self.image_size, self.fabric.device)
            epoch_seconds, test_seconds = measure(each.strategy, prepared, self.data, self.fabric)
            frozen = part if each.name in self.freezing else 0.0
            to_fit = (share - self.seeds * test_seconds) / (1 + CHECKED_SHARE) - frozen
            epochs = epochs_within(to_fit / self.seeds, epoch_seconds)
            plans.append(Plan(each.name, epochs, epoch_seconds, frozen, test_seconds))
        _show(plans, limit, self.seeds)
        return {each.candidate: each for each in plans}


def _show(plans: Sequence[Plan], limit: float, seeds: int) -> None:
    say(f"plan for {limit:.0f} s:   epochs   s an epoch   frozen pass   in all   ready at")
    clock = time.time()
    for each in plans:
        clock += each.seconds(seeds)
        say(
            f"  {each.candidate:16} {seeds * each.epochs:8} {each.epoch_seconds:12.1f} {each.pass_seconds:11.0f} s"
            f" {each.seconds(seeds):6.0f} s   {time.strftime('%H:%M:%S', time.localtime(clock))}"
        )
    if (total := sum(each.seconds(seeds) for each in plans)) > limit:
        say(f"one epoch of each takes {total:.0f} s: the limit of {limit:.0f} s cannot be kept")


def measure(strategy: Strategy, prepared: Prepared, data: Dataset, fabric: Fabric) -> tuple[float, float]:
    """Seconds of an epoch (training and validation) and of the evaluation on test, from a few steps on noise.

    They are taken on a copy of the trainable part: nothing of the run to come is touched.
    """
    recipe = with_epochs(strategy, 1).recipe
    samples = noise(prepared, data, min(PROBE_STEPS * recipe.batch_size, len(data.train)), recipe.views, fabric.device)
    model = copy.deepcopy(prepared.network.trainable).to(fabric.device)
    marks: list[float] = []

    def mark(images: int) -> None:
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    for _ in range(2):  # the first round also pays for what happens only once
        marks.clear()
        mark(0)
        fit(model, TrainVal(samples, samples), recipe, fabric, seed=0, watch=Watch(on_batch=mark))
    step_seconds = min(after - before for before, after in pairwise(marks))  # the others were disturbed
    started = time.perf_counter()
    predict(model, samples, fabric).sum().item()
    predict_seconds = (time.perf_counter() - started) / len(samples)  # an image
    steps = max(1, len(data.train) // recipe.batch_size)
    tests = len(data.val) + len(recipe.test_views) * len(data.test)  # val once more, for the temperature
    if prepared.old_head is not None:  # what it forgot is asked of the network before and after
        tests += 2 * min(MOST_IMAGES, len(data.test))
    return steps * step_seconds + len(data.val) * predict_seconds, tests * predict_seconds


def noise(
    prepared: Prepared, data: Dataset, count: int, views: tuple[str, ...], device: torch.device | None = None
) -> Samples:
    """So many samples as the trainable part will see them, of random content; images on the device, as they will be."""
    device = device or torch.device("cpu")
    labels = torch.arange(count) % len(data.class_names)
    if not len(prepared.network.frozen):
        side = side_seen(data, prepared.spec["image_size"])
        pixels = torch.randint(0, 256, (count, side, side, data.image_shape[2]), dtype=torch.uint8)
        return Samples.of_images(pixels.numpy(), torch.arange(count).numpy(), labels.numpy(), views, device)
    with torch.no_grad():
        blank = torch.zeros(1, *data.image_shape, dtype=torch.uint8).permute(0, 3, 1, 2)
        shape = prepared.network.frozen(blank).shape[1:]
    values = torch.randn(len(views) * count, *shape).half()
    return Samples(values, torch.arange(len(values)).view(len(views), count), labels, views)
