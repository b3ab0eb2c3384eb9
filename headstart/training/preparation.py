"""From a strategy and data to a network and what its trainable part is given: all that comes before the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from headstart.data.dataset import Dataset, Split
from headstart.data.resized import images_at
from headstart.models import build
from headstart.models.backbones import Backbone
from headstart.models.network import Network
from headstart.runtime.console import say
from headstart.strategies import Strategy
from headstart.training.activations import FrozenPass
from headstart.training.batches import Samples

FROM_SCRATCH_SIZE = 64  # pixels a side at most: a network that starts at random pays for each pixel in every epoch


@dataclass(frozen=True)
class Prepared:
    """A network before training.

    samples(split, views) gives what the trainable part sees, and the seconds the frozen part took for it. spec: how to
    build the network again. backbone and retrained (names of pieces): what the run's config says of pre-training.
    old_head: what gave the backbone's final features their meaning when it was pre-trained, if that is known.
    """

    network: Network
    spec: build.Spec
    samples: Callable[[Split, tuple[str, ...]], tuple[Samples, float]]
    backbone: dict[str, Any] | None = None
    retrained: list[str] = field(default_factory=list)
    old_head: nn.Linear | None = None


def from_scratch(
    strategy: Strategy, data: Dataset, device: torch.device, image_size: int = FROM_SCRATCH_SIZE
) -> Prepared:
    """A random network whose frozen part is empty: its trainable part sees the images themselves, in squares of
    `image_size` pixels a side, or of their own size where that is smaller."""
    side = side_seen(data, image_size)
    images = torch.from_numpy(images_at(data.train, side)).permute(0, 3, 1, 2)
    network, spec = build.from_scratch(strategy.network, images, len(data.class_names))
    return Prepared(network, spec, images_as_samples(side, device))


def side_seen(data: Dataset, image_size: int) -> int:
    """Pixels a side of the images that a network with an empty frozen part is given: they are never made larger."""
    return min(image_size, max(data.image_shape[:2]))


def images_as_samples(side: int, device: torch.device) -> Callable[[Split, tuple[str, ...]], tuple[Samples, float]]:
    """What an empty frozen part gives: the images, of which nothing is computed or kept beyond their size."""
    return lambda split, views: (Samples.of_images(images_at(split, side), split.labels, views, device), 0.0)


class Pretrained:
    """The backbone that several strategies share, and the one pass that runs their frozen parts."""

    def __init__(self, backbone: Backbone, strategies: Sequence[Strategy], data: Dataset, device: torch.device):
        """Find where each strategy cuts the backbone, and how the frozen part will run, and say so.

        Raises HeadstartError where the backbone cannot be cut there.
        """
        self.backbone, self.device = backbone, device
        backbones = [each for each in strategies if each.network == "backbone"]
        self.cuts = {each.name: backbone.cut(each.frozen_share or 0) for each in backbones}
        self.freezing = [name for name, cut in self.cuts.items() if cut]  # those that have something to freeze
        cuts = [self.cuts[name] for name in self.freezing]
        self.frozen_pass = FrozenPass(backbone.chain, cuts, data.image_shape, device)
        say(f"backbone: {backbone.name} at {backbone.image_size} px, weights from {backbone.weights} ({backbone.why})")
        if self.freezing:
            measured = self.frozen_pass.choice["measured"].items()
            rates = ", ".join(f"{name} {1 / engine['image_seconds']:,.0f}" for name, engine in measured)
            say(f"frozen pass by {self.frozen_pass.choice['engine']} (images/s measured: {rates})")
        for each in backbones:
            say(f"{each.name} {self._said(each)}, and trains a new head")

    @property
    def engine(self) -> dict[str, float]:
        """Seconds to make the engine of the frozen pass, and seconds an image, as measured."""
        return self.frozen_pass.choice["measured"][self.frozen_pass.choice["engine"]]

    def _said(self, strategy: Strategy) -> str:
        if strategy.frozen_share is None:
            return f"gives {self.backbone.name} random weights"
        if not self.cuts[strategy.name]:
            return "retrains all of it"
        return f"retrains {', '.join(self.backbone.pieces_from(self.cuts[strategy.name])) or 'no piece of it'}"

    def prepare(self, strategy: Strategy, data: Dataset) -> Prepared:
        """The backbone cut where the strategy says, with a new head; the trainable part sees cached activations, or the
        images where nothing is frozen."""
        cut, classes = self.cuts[strategy.name], len(data.class_names)
        samples = images_as_samples(side_seen(data, self.backbone.image_size), self.device)
        if strategy.frozen_share is None:
            return Prepared(*build.like_backbone(self.backbone, strategy.hidden, strategy.batchnorm, classes), samples)
        if cut:

            def samples(split: Split, views: tuple[str, ...]) -> tuple[Samples, float]:
                return self.frozen_pass.samples(split, views, cut)

        network, spec = build.on_backbone(self.backbone, cut, strategy.hidden, strategy.batchnorm, classes)
        about = {
            "name": self.backbone.name,
            "weights": self.backbone.weights,
            "why": self.backbone.why,
            "sha256": self.backbone.sha256,
            "image_size": self.backbone.image_size,
            "engine": self.frozen_pass.choice if cut else None,
        }
        return Prepared(network, spec, samples, about, self.backbone.pieces_from(cut), self.backbone.classifier)


def preparer(
    pretrained: Pretrained | None, data: Dataset, device: torch.device, image_size: int | None
) -> Callable[[Strategy], Prepared]:
    """What prepares any strategy's network for `data`: on the shared backbone or, from scratch, for `image_size` pixels
    a side (None: FROM_SCRATCH_SIZE)."""

    def prepare(strategy: Strategy) -> Prepared:
        if pretrained is None or strategy.network != "backbone":
            return from_scratch(strategy, data, device, image_size or FROM_SCRATCH_SIZE)
        return pretrained.prepare(strategy, data)

    return prepare
