"""From a description that JSON can hold to a network, and from data or a backbone to a network ready to train."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.data.dataset import Images
from headstart.models import backbones
from headstart.models.backbones import Backbone
from headstart.models.cnn import BaseCNN, DeepCNN
from headstart.models.folding import retrainable
from headstart.models.network import Network, Readout
from headstart.models.preprocessing import COUNTED, Preprocessing

Spec = dict[str, Any]
WHITENING_IMAGES = 5000  # enough for the covariance of 2x2 patches

FROM_SCRATCH: dict[str, type[BaseCNN] | type[DeepCNN]] = {"base-cnn": BaseCNN, "deep-cnn": DeepCNN}


class Retrained(nn.Sequential):
    """Pre-trained pieces that go on learning, but for their BatchNorm's statistics: small batches would spoil them."""

    def train(self, mode: bool = True) -> Retrained:
        """Set the mode; BatchNorm stays in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


class Head(nn.Sequential):
    """What turns features (N, F) into logits (N, classes): a linear layer, after a hidden one where `hidden` is set."""

    def __init__(self, features: int, classes: int, hidden: int = 0):
        if hidden:  # features of several stages differ in scale: normalised together, not one by one (measured)
            super().__init__(
                nn.LayerNorm(features, elementwise_affine=False),
                nn.Linear(features, hidden),
                nn.BatchNorm1d(hidden),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
                nn.Linear(hidden, classes),
            )
        else:
            last = nn.Linear(features, classes)
            nn.init.zeros_(last.weight)  # the backbone's first gradients then follow the classes, not chance
            super().__init__(nn.Dropout(0.2), last)


def from_scratch(kind: str, images: Images, classes: int) -> tuple[Network, Spec]:
    """A random network, its frozen part empty; images (N, H, W, C) uint8 set its preprocessing and first filters."""
    spec = {"kind": kind, "channels": images.shape[3], "image_size": images.shape[1], "classes": classes}
    network = from_spec(spec)
    model = network.trainable
    preprocessing = next(module for module in model.modules() if isinstance(module, Preprocessing))
    preprocessing.fit(_as_tensor(images[start : start + COUNTED]) for start in range(0, len(images), COUNTED))
    if isinstance(model, DeepCNN):
        spread = images[:: max(1, len(images) // WHITENING_IMAGES)]  # a folder's images lie class by class
        model.whiten(_as_tensor(spread[:WHITENING_IMAGES]))
    return network, spec


def _as_tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)


def on_backbone(backbone: Backbone, cut: int, hidden: int, batchnorm: str, classes: int) -> tuple[Network, Spec]:
    """A backbone frozen up to `cut`, a copy of the rest and a new head, `hidden` wide, to train.

    batchnorm: "frozen" or "learned", in the copy.
    """
    spec = backbone_spec(backbone, cut, hidden, batchnorm, classes)
    return _cut_network(backbone.chain, spec), spec


def like_backbone(backbone: Backbone, hidden: int, batchnorm: str, classes: int) -> tuple[Network, Spec]:
    """The network of a backbone and a new head with random weights throughout, all to be trained."""
    spec = backbone_spec(backbone, 0, hidden, batchnorm, classes)
    return from_spec(spec), spec


def backbone_spec(backbone: Backbone, cut: int, hidden: int, batchnorm: str, classes: int) -> Spec:
    """The description of a network on a backbone."""
    return {
        "kind": "backbone",
        "name": backbone.name,
        "image_size": backbone.image_size,
        "cut": cut,
        "hidden": hidden,
        "batchnorm": batchnorm,
        "classes": classes,
        "by_block": True,  # networks that do not say so were cut between stages
    }


def from_spec(spec: Spec) -> Network:
    """The network that a description tells of, its weights random: they are to be loaded."""
    if spec["kind"] == "backbone":
        model, config, image_size = backbones.create(spec["name"], spec["image_size"])
        return _cut_network(backbones.as_chain(model, config, image_size, spec.get("by_block", False)), spec)
    channels, image_size = spec["channels"], spec["image_size"]
    preprocessing = Preprocessing([0.5] * channels, [0.5] * channels, image_size)
    model = FROM_SCRATCH[spec["kind"]](preprocessing, channels, image_size, spec["classes"])
    return Network(nn.Sequential(), model).to(memory_format=torch.channels_last)


def _cut_network(chain: Readout, spec: Spec) -> Network:
    frozen, rest = copy.deepcopy(chain).split(spec["cut"])  # a network of its own: it will be trained, and move
    trainable = nn.Sequential()
    if not len(frozen):  # the images themselves are what is trained on
        trainable.preprocessing, rest = rest[0], rest[1:]
    keeps_statistics = spec["batchnorm"] == "frozen"
    backbone = Retrained() if keeps_statistics else nn.Sequential()
    with torch.no_grad():
        features = trainable(frozen(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)))
        if len(rest):
            backbone.extend(retrainable(rest, features.shape[1:], fold=keeps_statistics))
        features = backbone.eval()(features)
    trainable.backbone, trainable.head = backbone, Head(features.shape[1], spec["classes"], spec["hidden"])
    return Network(frozen, trainable).to(memory_format=torch.channels_last)
