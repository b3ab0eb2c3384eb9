"""How long one image takes a candidate on this machine, from a few steps on noise."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import torch
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.runtime.device import stored_probe
from headstart.strategies import Candidate, Recipe, Strategy, with_epochs
from headstart.training.batches import Samples
from headstart.training.fit import EVALUATION_BATCH, TrainVal, Watch, fit, predict
from headstart.training.forgetting import MOST_IMAGES
from headstart.training.mixtures import images_of_a_line
from headstart.training.preparation import Prepared, Pretrained, prepare, side_seen

PROBE_BATCH = 128  # images at most: where a step is slow, larger ones would take longer than what they tell is worth
PROBE_ROUNDS = 4  # of two steps each, and of one batch that is evaluated
PROBE_SECONDS = 1.0  # after which no third round is begun


@dataclass(frozen=True)
class Pace:
    """Seconds an image: trained on once, evaluated once, and evaluated once in the arithmetic in which networks are
    used. is_new: whether that was measured just now."""

    train: float
    predict: float
    exact: float
    is_new: bool = True

    def epoch_seconds(self, recipe: Recipe, data: Dataset) -> float:
        """Of an epoch, with its share of a validation."""
        images = max(1, len(data.train) // recipe.batch_size) * min(recipe.batch_size, len(data.train))
        return images * self.train + len(data.val) * self.predict / recipe.validate_every

    def test_seconds(self, strategy: Strategy, data: Dataset) -> float:
        """Of the evaluation: test as it is and under further views, val once more for the temperature, and, of a
        pre-trained backbone, what it forgot, which is asked before and after, and its mixtures where it was retrained.
        """
        images = len(data.val) + (len(strategy.recipe.test_views) - 1) * len(data.test)
        if strategy.frozen_share is not None:
            images += 2 * min(MOST_IMAGES, len(data.test))
            images += images_of_a_line(*map(len, (data.train, data.val, data.test))) * (strategy.frozen_share < 1)
        return images * self.predict + len(data.test) * self.exact

    def at(self, scale: float) -> Pace:
        """Where each image takes so many times as long."""
        return replace(self, train=scale * self.train, predict=scale * self.predict, exact=scale * self.exact)


def stored_pace(
    candidate: Candidate, data: Dataset, pretrained: Pretrained | None, image_size: int | None, fabric: Fabric
) -> Pace:
    """What `measured_pace` once found on such a machine, under whatever load there was then; measured now where it
    never was."""
    recipe = candidate.strategy.recipe
    size = pretrained.backbone.image_size if pretrained else image_size
    said = (candidate.strategy.network, candidate.strategy.frozen_share, candidate.strategy.hidden, recipe.batch_size)
    about = (*said, recipe.groups, candidate.weights and candidate.weights.sha256, size, data.image_shape)
    count = (len(data.class_names), min(recipe.batch_size, len(data.train)))
    key = hashlib.sha256(repr((about, count)).encode()).hexdigest()[:12]
    new: list[Pace] = []

    def measure() -> dict[str, float]:
        new.append(measured_pace(candidate, data, pretrained, image_size, fabric))
        return {name: getattr(new[0], name) for name in ("train", "predict", "exact")}

    return replace(Pace(**stored_probe(f"paces-{key}", fabric.device, measure)), is_new=bool(new))


def measured_pace(
    candidate: Candidate, data: Dataset, pretrained: Pretrained | None, image_size: int | None, fabric: Fabric
) -> Pace:
    """Seconds an image, measured now, on a network of its own. pretrained: None where the candidate needs none."""
    recipe = with_epochs(candidate.strategy, 1).recipe
    # Noise has not the labels of all classes, which weights by how rare they are would need; they take no time.
    recipe = replace(recipe, batch_size=min(recipe.batch_size, PROBE_BATCH), class_weights="none")
    prepared = prepare(candidate.strategy, data, pretrained, image_size, fabric.device)
    samples = noise(prepared, data, min(2 * recipe.batch_size, len(data.train)), recipe.views, fabric.device)
    some = noise(prepared, data, min(EVALUATION_BATCH, len(data.train)), ("identity",), fabric.device)
    model = prepared.network.trainable.to(fabric.device)
    begun = now(fabric)
    steps: list[float] = []
    tests: list[float] = []
    exact: list[float] = []
    marks: list[float] = []
    watch = Watch(on_batch=lambda images: marks.append(now(fabric)))
    while len(tests) < 2 or (len(tests) < PROBE_ROUNDS and now(fabric) - begun < PROBE_SECONDS):
        marks[:] = [now(fabric)]
        fit(model, TrainVal(samples, some), recipe, fabric, seed=0, watch=watch)
        steps += [after - before for before, after in pairwise(marks)]
        for times, is_exact in ((tests, False), (exact, True)):
            started = now(fabric)
            predict(model, some, fabric, exact=is_exact)
            times.append(now(fabric) - started)
    batch = min(recipe.batch_size, len(data.train))
    # The first pays for what happens only once.
    return Pace(median(steps[1:]) / batch, median(tests[1:]) / len(some), median(exact[1:]) / len(some))


def now(fabric: Fabric) -> float:
    """Seconds, once the device has done all that it was given."""
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)
    return time.perf_counter()


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
