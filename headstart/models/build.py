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
from headstart.models.network import Network
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
    """What turns pooled features (N, F) into logits (N, classes)."""

    def __init__(self, features: int, classes: int, hidden: int = 512, dropout: float = 0.3):
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(features, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )


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


def on_backbone(backbone: Backbone, cut: int, classes: int) -> tuple[Network, Spec]:
    """A backbone frozen up to `cut`, a copy of the rest and a random head to train."""
    spec = {
        "kind": "backbone",
        "name": backbone.name,
        "image_size": backbone.image_size,
        "cut": cut,
        "classes": classes,
    }
    return _cut_network(backbone.chain, cut, backbone.num_features, classes), spec


def from_spec(spec: Spec) -> Network:
    """The network that a description tells of, its weights random: they are to be loaded."""
    if spec["kind"] == "backbone":
        model, config, image_size = backbones.create(spec["name"], spec["image_size"])
        chain = backbones.as_chain(model, config, image_size)
        features = backbones.num_features(chain, config["input_size"][0])
        return _cut_network(chain, spec["cut"], features, spec["classes"])
    channels, image_size = spec["channels"], spec["image_size"]
    preprocessing = Preprocessing([0.5] * channels, [0.5] * channels, image_size)
    model = FROM_SCRATCH[spec["kind"]](preprocessing, channels, image_size, spec["classes"])
    return Network(nn.Sequential(), model).to(memory_format=torch.channels_last)


def _cut_network(chain: nn.Sequential, cut: int, features: int, classes: int) -> Network:
    retrained = Retrained(OrderedDict(copy.deepcopy(chain[cut:]).named_children()))
    trainable = nn.Sequential(OrderedDict(backbone=retrained, head=Head(features, classes)))
    return Network(chain[:cut], trainable).to(memory_format=torch.channels_last)
