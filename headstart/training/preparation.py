"""From a strategy and data to a network and what its trainable part is given: all that comes before the loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from headstart.data.dataset import Dataset, Rows, Subset
from headstart.data.resized import images_at
from headstart.models import build
from headstart.models.backbones import Backbone
from headstart.models.network import Network
from headstart.runtime.console import say
from headstart.strategies import Strategy
from headstart.training.activations import FrozenPass
from headstart.training.batches import Samples

FROM_SCRATCH_SIZE = 64  # pixels a side at most: a network that starts at random pays for each pixel in every epoch


class SamplesOf(Protocol):
    """See `Prepared.samples`."""

    def __call__(self, part: Subset, views: tuple[str, ...], exact: bool = False) -> tuple[Samples, float]:
        """Find or compute them."""


@dataclass(frozen=True)
class Prepared:
    """A network before training.

    samples(part, views) gives what the trainable part sees, and the seconds the frozen part took for it; with a third
    argument `exact`, in the arithmetic in which the network is used. spec: how to build the network again. backbone and
    retrained (names of pieces): what the run's config says of pre-training. old_head: what gave the backbone's final
    features their meaning when it was pre-trained, if that is known.
    """

    network: Network
    spec: build.Spec
    samples: SamplesOf
    backbone: dict[str, Any] | None = None
    retrained: list[str] = field(default_factory=list)
    old_head: nn.Linear | None = None


def side_seen(data: Dataset, image_size: int) -> int:
    """Pixels a side of the images that a network with an empty frozen part is given: they are never made larger."""
    return min(image_size, max(data.image_shape[:2]))


class Pretrained:
    """A backbone, and the one pass that runs the frozen parts of all strategies that share it."""

    def __init__(
        self, backbone: Backbone, shares: Sequence[float], image_shape: tuple[int, int, int], device: torch.device
    ):
        """shares: what the strategies freeze of it; raises HeadstartError where it cannot be cut there."""
        self.backbone, self.device = backbone, device
        self.cuts = {share: backbone.cut(share) for share in shares}
        cuts = [cut for cut in self.cuts.values() if cut]
        self.frozen_pass = FrozenPass(backbone.chain, cuts, image_shape, device)
        self.exact_pass = FrozenPass(backbone.chain, cuts, image_shape, device, exact=True)

    def freezes(self, strategy: Strategy) -> bool:
        """Whether a strategy leaves any of it as it is."""
        return bool(strategy.frozen_share and self.cuts[strategy.frozen_share])

    def engine(self, exact: bool = False) -> dict[str, float]:
        """Seconds to make the engine of the frozen pass (exact: over images that are scored), and seconds an image, as
        measured."""
        choice = (self.exact_pass if exact else self.frozen_pass).choice
        return choice["measured"][choice["engine"]]

    def missing(self, strategies: Iterable[Strategy], part: Subset, views: Iterable[str], exact: bool = False) -> int:
        """How many of these images, each in every view, a frozen pass (exact: in float32) has yet to see for strategies
        that freeze some of the backbone."""
        frozen = self.exact_pass if exact else self.frozen_pass
        cuts = {self.cuts[each.frozen_share] for each in strategies if each.frozen_share}
        return max(frozen.missing(part, views, cut) for cut in cuts)

    def describe(self, strategies: Sequence[Strategy]) -> None:
        """Say what the backbone is, how its frozen part runs, and what each strategy retrains."""
        backbone = self.backbone
        say(f"backbone: {backbone.name} at {backbone.image_size} px, weights from {backbone.weights} ({backbone.why})")
        on_backbone = [each for each in strategies if each.network == "backbone"]
        if any(self.freezes(each) for each in on_backbone):
            measured = self.frozen_pass.choice["measured"].items()
            rates = ", ".join(f"{name} {1 / engine['image_seconds']:,.0f}" for name, engine in measured)
            say(f"frozen pass by {self.frozen_pass.choice['engine']} (images/s measured: {rates})")
        for each in on_backbone:
            say(f"{each.name} {self._retrained(each)}, and trains a new head")

    def _retrained(self, strategy: Strategy) -> str:
        if strategy.frozen_share is None:
            return f"gives {self.backbone.name} random weights"
        if not self.freezes(strategy):
            return "retrains all of it"
        pieces = self.backbone.pieces_from(self.cuts[strategy.frozen_share])
        return f"retrains {', '.join(pieces) or 'no piece of it'}"

    def prepare(self, strategy: Strategy, data: Dataset) -> Prepared:
        """The backbone cut where the strategy says, with a new head; the trainable part sees cached activations, or the
        images where nothing is frozen."""
        classes = len(data.class_names)
        samples = images_as_samples(side_seen(data, self.backbone.image_size), self.device)
        if strategy.frozen_share is None:
            return Prepared(*build.like_backbone(self.backbone, strategy.hidden, strategy.batchnorm, classes), samples)
        cut = self.cuts[strategy.frozen_share]
        if cut:

            def samples(part: Subset, views: tuple[str, ...], exact: bool = False) -> tuple[Samples, float]:
                return (self.exact_pass if exact else self.frozen_pass).samples(part, views, cut)

        network, spec = build.on_backbone(self.backbone, cut, strategy.hidden, strategy.batchnorm, classes)
        about = {
            "name": self.backbone.name,
            "weights": self.backbone.weights,
            "why": self.backbone.why,
            "sha256": self.backbone.sha256,
            "licence": self.backbone.licence,
            "image_size": self.backbone.image_size,
            "engine": self.frozen_pass.choice if cut else None,
        }
        return Prepared(network, spec, samples, about, self.backbone.pieces_from(cut), self.backbone.classifier)


def prepare(
    strategy: Strategy, data: Dataset, pretrained: Pretrained | None, image_size: int | None, device: torch.device
) -> Prepared:
    """The network of a strategy for `data`: on its backbone or, from scratch, for `image_size` pixels a side (None:
    FROM_SCRATCH_SIZE)."""
    if pretrained is not None:
        return pretrained.prepare(strategy, data)
    return from_scratch(strategy, data, device, image_size or FROM_SCRATCH_SIZE)


def from_scratch(
    strategy: Strategy, data: Dataset, device: torch.device, image_size: int = FROM_SCRATCH_SIZE
) -> Prepared:
    """A random network whose frozen part is empty: its trainable part sees the images themselves, in squares of
    `image_size` pixels a side, or of their own size where that is smaller."""
    side = side_seen(data, image_size)
    images = Rows(*images_at(data, data.train.rows, side))
    network, spec = build.from_scratch(strategy.network, images, len(data.class_names))
    return Prepared(network, spec, images_as_samples(side, device))


def images_as_samples(side: int, device: torch.device) -> SamplesOf:
    """What an empty frozen part gives: the images, of which nothing is computed or kept beyond their size."""

    def samples(part: Subset, views: tuple[str, ...], exact: bool = False) -> tuple[Samples, float]:
        return Samples.of_images(*images_at(part.dataset, part.rows, side), part.labels, views, device), 0.0

    return samples
