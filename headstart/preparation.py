"""From a strategy and data to a network and what its trainable part is given: all that comes before the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from headstart.data.dataset import Dataset, Split
from headstart.data.resized import images_at
from headstart.models import build
from headstart.models.backbones import Backbone
from headstart.models.network import Network
from headstart.progress import say
from headstart.strategies import Strategy
from headstart.training.activations import FrozenPass
from headstart.training.batches import Samples

FROM_SCRATCH_SIZE = 64  # pixels a side at most: a network that starts at random pays for each pixel in every epoch


@dataclass(frozen=True)
class Prepared:
    """A network before training.

    samples(split, views) gives what the trainable part sees, and the seconds the frozen part took for it. spec: how to
    build the network again. backbone and retrained (names of pieces): what the run's config says of pre-training.
    """

    network: Network
    spec: build.Spec
    samples: Callable[[Split, tuple[str, ...]], tuple[Samples, float]]
    backbone: dict[str, Any] | None = None
    retrained: list[str] = field(default_factory=list)


def from_scratch(
    strategy: Strategy, data: Dataset, device: torch.device, image_size: int = FROM_SCRATCH_SIZE
) -> Prepared:
    """A random network whose frozen part is empty: its trainable part sees the images themselves, in squares of
    `image_size` pixels a side, or of their own size where that is smaller."""
    side = min(image_size, max(data.image_shape[:2]))
    images = torch.from_numpy(images_at(data.train, side)).permute(0, 3, 1, 2)
    network, spec = build.from_scratch(strategy.network, images, len(data.class_names))

    def samples(split: Split, views: tuple[str, ...]) -> tuple[Samples, float]:
        return Samples.of_images(images_at(split, side), split.labels, views, device), 0.0

    return Prepared(network, spec, samples)


class Pretrained:
    """The backbone that several strategies share, and the one pass that runs their frozen parts."""

    def __init__(self, backbone: Backbone, strategies: Sequence[Strategy], data: Dataset, device: torch.device):
        """Find where each strategy cuts the backbone, and how the frozen part will run, and say so.

        Raises HeadstartError where the backbone cannot be cut there.
        """
        self.backbone = backbone
        self.cuts = {each.name: backbone.cut(each.frozen_share) for each in strategies if each.frozen_share is not None}
        self.frozen_pass = FrozenPass(backbone.chain, list(self.cuts.values()), data.image_shape, device)
        say(f"backbone: {backbone.name} at {backbone.image_size} px, weights from {backbone.weights} ({backbone.why})")
        rates = ", ".join(
            f"{name} {1 / m['image_seconds']:,.0f}" for name, m in self.frozen_pass.choice["measured"].items()
        )
        say(f"frozen pass by {self.frozen_pass.choice['engine']} (images/s measured: {rates})")
        for name, cut in self.cuts.items():
            say(f"{name} retrains {', '.join(backbone.pieces_from(cut)) or 'no piece of it'}, and trains a new head")

    def prepare(self, strategy: Strategy, data: Dataset) -> Prepared:
        """The backbone cut where the strategy says, with a new head; the trainable part sees cached activations."""
        cut = self.cuts[strategy.name]
        network, spec = build.on_backbone(self.backbone, cut, strategy.hidden, len(data.class_names))
        return Prepared(
            network,
            spec,
            lambda split, views: self.frozen_pass.samples(split, views, cut),
            {
                "name": self.backbone.name,
                "weights": self.backbone.weights,
                "why": self.backbone.why,
                "sha256": self.backbone.sha256,
                "image_size": self.backbone.image_size,
                "engine": self.frozen_pass.choice,
            },
            self.backbone.pieces_from(cut),
        )
