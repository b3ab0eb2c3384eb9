from __future__ import annotations

import pytest
import torch

from headstart.models import build


def noise(channels, size, count=40):
    """Smooth random images: neighbouring pixels go together, as in photographs."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(count, channels, size // 4, size // 4, generator=generator)
    return (255 * torch.nn.functional.interpolate(small, (size, size), mode="bilinear")).to(torch.uint8)


@pytest.mark.parametrize("kind", ["base-cnn", "deep-cnn"])
@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 32, 10), (1, 32, 2), (3, 64, 100)])
def test_channels_size_and_classes_are_parameters(kind, channels, size, classes):
    images = noise(channels, size)
    network, spec = build.from_scratch(kind, images, classes)
    assert network(images[:4]).shape == (4, classes)
    assert len(network.frozen) == 0
    assert build.from_spec(spec)(images[:4]).shape == (4, classes)


def test_whitening_makes_patches_uncorrelated_with_equal_variance():
    images = noise(3, 32, 200)
    network, _ = build.from_scratch("deep-cnn", images, 10)
    model = network.trainable
    out = model.whitening(model.preprocessing(images)).permute(1, 0, 2, 3).flatten(1)
    half = len(out) // 2
    covariance = out[:half].cov()
    strongest = covariance.diagonal()[:4]
    torch.testing.assert_close(strongest, torch.ones(4), rtol=0.1, atol=0)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 0.05
    torch.testing.assert_close(out[half:], -out[:half])


def test_the_deep_network_starts_by_passing_channels_on():
    network, _ = build.from_scratch("deep-cnn", noise(3, 32), 10)
    group = network.trainable.groups[1]
    x = torch.randn(2, 64, 8, 8)
    torch.testing.assert_close(group.conv1(x)[:, :64], x)
