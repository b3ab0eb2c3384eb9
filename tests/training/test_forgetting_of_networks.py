from __future__ import annotations

import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from headstart.models import build
from headstart.models.backbones import Backbone, as_chain, create
from headstart.training import forgetting as module
from headstart.training.batches import Samples
from headstart.training.forgetting import Original

SMALL = "mobilenetv3_small_050.lamb_in1k"


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


def network(share):
    """A small backbone of random weights, frozen in part, with the classifier that it might have had."""
    torch.manual_seed(0)
    chain = as_chain(*create(SMALL, 64))
    for each in chain.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.running_var.uniform_(0.5, 1.5)
    backbone = Backbone(SMALL, "", "", "", chain, 64, True)
    return build.on_backbone(backbone, backbone.cut(share), 0, "frozen", 2)[0].eval(), nn.Linear(1024, 50)


def samples(network, count=12):
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        inputs = network.frozen(pixels)
    given = inputs if len(network.frozen) else pixels
    return Samples(given, torch.arange(count)[None], torch.zeros(count, dtype=torch.int64), ("identity",))


def drift(before, after, old_head, fabric):
    return Original(before, old_head.requires_grad_(False), samples(before), fabric).forgotten(after)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_was_not_changed_shows_no_drift_at_all(share, fabric):
    before, old_head = network(share)
    found = drift(before, copy.deepcopy(before), old_head, fabric)
    assert (found["agreement"], found["divergence"], found["weight_distance"]) == (1, 0, 0)
    assert set(found["by_piece"].values()) == {0}
    assert set(found["cka"].values()) == {1}


def test_a_changed_piece_shows_in_its_own_weights_and_in_all_features_from_there_on(fabric):
    before, old_head = network(0.0)
    after = copy.deepcopy(before)
    with torch.no_grad():
        for parameter in after.trainable.get_submodule("backbone.0.blocks_1_0").parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    found = drift(before, after, old_head, fabric)
    assert {name for name, distance in found["by_piece"].items() if distance} == {"blocks_1_0"}
    names = list(found["cka"])
    place = names.index("blocks_1_0")
    assert all(found["cka"][name] == 1 for name in names[:place])
    assert all(found["cka"][name] < 1 for name in names[place:])
    assert found["divergence"] > 0


def test_statistics_of_batchnorm_that_drift_in_a_frozen_part_show(fabric):
    before, old_head = network(1.0)
    after = copy.deepcopy(before)
    next(each for each in after.frozen.modules() if isinstance(each, nn.BatchNorm2d)).running_var.mul_(2)
    found = drift(before, after, old_head, fabric)
    assert {name for name, distance in found["by_piece"].items() if distance} == {"conv_stem"}


def test_images_are_chosen_evenly(monkeypatch, fabric):
    monkeypatch.setattr(module, "MOST_IMAGES", 4)
    many = Samples(torch.arange(20.0), torch.arange(20).view(2, 10), torch.arange(10), ("identity", "mirror"))
    some = many.evenly(4)
    assert some.taken(0, slice(None), torch.device("cpu")).tolist() == some.labels.tolist() == [0, 3, 6, 9]
    before, old_head = network(1.0)
    assert drift(before, before, old_head, fabric)["images"] == 4


def test_features_are_pooled_over_space_wherever_channels_stand():
    maps = torch.randn(2, 7, 3, 3)
    assert torch.equal(module._pooled(maps), maps.mean((2, 3)))
    torch.testing.assert_close(module._pooled(maps.permute(0, 2, 3, 1)), maps.mean((2, 3)))
    assert module._pooled(torch.randn(2, 5, 7)).shape == (2, 7)
    assert module._pooled(torch.randn(2, 7)).shape == (2, 7)


def test_what_json_cannot_hold_is_none():
    assert [module._finite(value) for value in (0.5, float("nan"), float("inf"))] == [0.5, None, None]
