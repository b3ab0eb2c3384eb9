from __future__ import annotations

import pytest
import torch

from headstart.models import build
from headstart.models.backbones import Backbone, as_chain, create

SMALL = "mobilenetv3_small_050.lamb_in1k"
VIT = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
PIXELS = torch.randint(0, 256, (4, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def unloaded(name):
    """A backbone with random weights."""
    torch.manual_seed(0)
    model, config, size = create(name, None if name == VIT else 64)
    return Backbone(name, "", "", "", as_chain(model, config, size), size, True)


@pytest.mark.parametrize("batchnorm", ["frozen", "learned"])
@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "convnext_atto.d2_in1k", SMALL, VIT])
def test_all_of_a_backbone_is_trainable_and_gives_what_it_gave(name, batchnorm):
    backbone = unloaded(name)
    network, spec = build.on_backbone(backbone, 0, 0, batchnorm, 5)
    network.eval()
    with torch.inference_mode():
        final = torch.nn.Sequential(*backbone.chain)(PIXELS)
        body = network.trainable[:-1](PIXELS)
    assert len(network.frozen) == 0
    torch.testing.assert_close(body, final, rtol=1e-3, atol=1e-3)
    again = build.from_spec(spec)
    assert [(k, v.shape) for k, v in again.state_dict().items()] == [
        (k, v.shape) for k, v in network.state_dict().items()
    ]


def test_like_a_backbone_is_its_structure_with_other_weights_and_norms_that_learn():
    backbone = unloaded(SMALL)
    first, second = (build.like_backbone(backbone, 0, "learned", 5)[0] for _ in range(2))
    weights = [each.trainable.backbone[0].conv_stem.weight for each in (first, second)]
    assert not torch.equal(*weights)
    before = first.trainable.backbone[0].bn1.running_mean.clone()
    first.train()(PIXELS)
    assert not torch.equal(first.trainable.backbone[0].bn1.running_mean, before)


@pytest.mark.parametrize("batchnorm", ["frozen", "learned"])
def test_batchnorm_of_a_retrained_part_keeps_its_statistics_or_moves_them(batchnorm):
    backbone = unloaded("resnet18.a1_in1k")
    network, _ = build.on_backbone(backbone, backbone.cut(0.5), 0, batchnorm, 5)
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network.train()(PIXELS)
    moved = {name for name, value in before.items() if not torch.equal(network.state_dict()[name], value)}
    assert all(name.startswith("trainable.") for name in moved)
    assert bool(moved) == (batchnorm == "learned")
