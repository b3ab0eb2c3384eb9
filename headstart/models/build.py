"""From a description that JSON can hold to a network, and from data or a backbone to a network ready to train."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.models import backbones
from headstart.models.backbones import Backbone
from headstart.models.cnn import BaseCNN, DeepCNN
from headstart.models.matmul import as_matrix_products
from headstart.models.network import Network, Readout
from headstart.models.preprocessing import Preprocessing

Spec = dict[str, Any]

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


def from_scratch(kind: str, images: Tensor, classes: int) -> tuple[Network, Spec]:
    """A random network, its frozen part empty; images (N, C, H, W) uint8 set its preprocessing and first filters."""
    spec = {"kind": kind, "channels": images.shape[1], "image_size": images.shape[2], "classes": classes}
    network = from_spec(spec)
    model = network.trainable
    preprocessing = next(module for module in model.modules() if isinstance(module, Preprocessing))
    preprocessing.fit(images)
    if isinstance(model, DeepCNN):
        model.whiten(images)
    return network, spec


def on_backbone(backbone: Backbone, cut: int, hidden: int, classes: int) -> tuple[Network, Spec]:
    """A backbone frozen up to `cut`, a copy of the rest and a new head, `hidden` wide, to train."""
    spec = {
        "kind": "backbone",
        "name": backbone.name,
        "image_size": backbone.image_size,
        "cut": cut,
        "hidden": hidden,
        "classes": classes,
    }
    return _cut_network(backbone.chain, cut, hidden, classes), spec


def from_spec(spec: Spec) -> Network:
    """The network that a description tells of, its weights random: they are to be loaded."""
    if spec["kind"] == "backbone":
        model, config, image_size = backbones.create(spec["name"], spec["image_size"])
        chain = backbones.as_chain(model, config, image_size)
        return _cut_network(chain, spec["cut"], spec["hidden"], spec["classes"])
    channels, image_size = spec["channels"], spec["image_size"]
    preprocessing = Preprocessing([0.5] * channels, [0.5] * channels, image_size)
    model = FROM_SCRATCH[spec["kind"]](preprocessing, channels, image_size, spec["classes"])
    return Network(nn.Sequential(), model).to(memory_format=torch.channels_last)


def _cut_network(chain: Readout, cut: int, hidden: int, classes: int) -> Network:
    frozen, rest = copy.deepcopy(chain).split(cut)  # a network of its own: it will be trained, and move to a device
    retrained = Retrained()
    with torch.no_grad():
        activation = frozen(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
        if len(rest):
            retrained.append(as_matrix_products(rest, activation.shape[1:]))
        features = retrained(activation).shape[1]
    trainable = nn.Sequential(OrderedDict(backbone=retrained, head=Head(features, classes, hidden)))
    return Network(frozen, trainable).to(memory_format=torch.channels_last)
