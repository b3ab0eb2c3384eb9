from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier
from headstart.inference.explain import blend, heatmaps
from headstart.models import build
from headstart.models.backbones import Backbone, as_chain, create

NAMES = ("left", "right")
LITE0 = "tf_efficientnet_lite0.in1k"


@pytest.fixture
def grad_cam():
    pytest.importorskip("pytorch_grad_cam")


def untrained(kind, cut=0, name=LITE0):
    """A classifier with random weights: `cut` pieces of a backbone frozen (-1: all of them)."""
    torch.manual_seed(0)
    if kind != "backbone":
        images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
        return Classifier(build.from_scratch(kind, images, 2)[0], NAMES)
    model, config, size = create(name, 64 if name in (LITE0, "convnext_atto.d2_in1k") else None)
    backbone = Backbone(name, "", "", "", as_chain(model, config, size), size, True)
    network, _ = build.on_backbone(backbone, cut % (len(backbone.chain) + 1), 8, "frozen", 2)
    for parameter in network.trainable.head.parameters():  # it starts at zero
        torch.nn.init.normal_(parameter)
    return Classifier(network, NAMES)


def pictures(count=3, height=32, width=32):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.usefixtures("grad_cam")
@pytest.mark.parametrize(
    ("kind", "cut"), [("base-cnn", 0), ("deep-cnn", 0), ("backbone", 0), ("backbone", 14), ("backbone", -1)]
)
def test_a_map_an_image_from_0_to_1_which_differs_by_class(kind, cut):
    classifier = untrained(kind, cut)
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    with torch.inference_mode():  # as a caller may be
        maps = {each: heatmaps(classifier, pictures(), [each] * 3) for each in (0, 1)}
    for found in maps.values():
        assert (found.shape, found.dtype) == ((3, 32, 32), np.float32)
        assert found.min() >= 0
        assert found.max() <= 1
    assert max(found.max() for found in maps.values()) > 0.99
    assert not np.array_equal(maps[0], maps[1])
    assert all(parameter.grad is None for parameter in classifier.network.parameters())
    assert all(torch.equal(before[name], value) for name, value in classifier.network.state_dict().items())


@pytest.mark.usefixtures("grad_cam")
@pytest.mark.parametrize("cut", [-1, 5])
@pytest.mark.parametrize(
    "name",
    ["vit_tiny_patch16_224.augreg_in21k_ft_in1k", "swin_tiny_patch4_window7_224.ms_in1k", "convnext_atto.d2_in1k"],
)
def test_tokens_and_maps_with_channels_last_are_shown_too(name, cut):
    maps = heatmaps(untrained("backbone", cut, name), pictures(2), [0, 1])
    assert maps.shape == (2, 32, 32)
    assert np.isfinite(maps).all()
    assert maps.max() > 0.99 and maps.std() > 0


@pytest.mark.usefixtures("grad_cam")
def test_it_shows_where_the_evidence_is():
    classifier = untrained("base-cnn")
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[0, :, :12], images[1, :, 20:] = 255, 255
    network = classifier.network.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).repeat(8, 1, 1, 1)
    for _ in range(30):
        torch.nn.functional.cross_entropy(network(pixels), torch.tensor([0, 1]).repeat(8)).backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
    assert list(classifier.predict(images)) == ["left", "right"]
    left, right = heatmaps(classifier, images, [0, 1])
    assert left[:, :12].mean() > 1.5 * left[:, 20:].mean()
    assert right[:, 20:].mean() > 1.5 * right[:, :12].mean()


@pytest.mark.usefixtures("grad_cam")
def test_more_images_than_fit_at_once():
    classifier, images = untrained("base-cnn"), pictures(20)
    found = heatmaps(classifier, images, [0] * 20)
    assert found.shape == (20, 32, 32)
    np.testing.assert_allclose(found[19:], heatmaps(classifier, images[19:], [0]), atol=1e-4)


@pytest.mark.usefixtures("grad_cam")
def test_what_cannot_be_shown_is_one_clear_line():
    blind = untrained("base-cnn")
    torch.nn.init.zeros_(list(blind.network.parameters())[-2])
    with pytest.raises(HeadstartError, match="the classes hang on"):
        heatmaps(blind, pictures(1), [0])
    with pytest.raises(HeadstartError, match="3 images need as many classes, not 2"):
        heatmaps(untrained("base-cnn"), pictures(), [0, 1])
    with pytest.raises(HeadstartError, match="uint8 images"):
        heatmaps(untrained("base-cnn"), pictures().astype(float), [0, 1, 0])


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(HeadstartError, match=r"pip install 'headstart\[explain\]'"):
        heatmaps(untrained("base-cnn"), pictures(), [0, 0, 0])


def test_blended_the_warm_part_is_orange_and_the_rest_dark_and_grey():
    image = np.full((2, 2, 3), (40, 180, 80), np.uint8)
    cold, lukewarm, warm = (blend(image, np.full((2, 2), value))[0, 0].astype(int) for value in (0.0, 0.7, 1.0))
    assert np.ptp(cold) <= 2
    assert lukewarm[0] > lukewarm[1] > lukewarm[2]
    assert cold.sum() < lukewarm.sum() < warm.sum()


def test_blended_the_image_can_still_be_seen():
    black_and_white = np.zeros((1, 2, 3), np.uint8)
    black_and_white[0, 1] = 255
    for value in (0.0, 1.0):
        black, white = blend(black_and_white, np.full((1, 2), value))[0].astype(int)
        assert (white - black).min() > 80
