from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from headstart.models import build, cnn


def noise(channels, size, count=40):
    """Smooth random images: neighbouring pixels go together, as in photographs."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(count, channels, size // 4, size // 4, generator=generator)
    return (255 * torch.nn.functional.interpolate(small, (size, size), mode="bilinear")).to(torch.uint8)


def as_kept(images):
    """Images (N, C, H, W) as a data set has them: (N, H, W, C)."""
    return images.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", ["base-cnn", "deep-cnn"])
@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 32, 10), (1, 32, 2), (3, 64, 100)])
def test_channels_size_and_classes_are_parameters(kind, channels, size, classes):
    images = noise(channels, size)
    network, spec = build.from_scratch(kind, as_kept(images), classes)
    assert network(images[:4]).shape == (4, classes)
    assert len(network.frozen) == 0
    assert build.from_spec(spec)(images[:4]).shape == (4, classes)


def test_whitening_makes_patches_uncorrelated_with_equal_variance():
    images = noise(3, 32, 200)
    network, _ = build.from_scratch("deep-cnn", as_kept(images), 10)
    model = network.trainable
    out = model.whitening(model.preprocessing(images)).permute(1, 0, 2, 3).flatten(1)
    half = len(out) // 2
    covariance = out[:half].cov()
    strongest = covariance.diagonal()[:4]
    torch.testing.assert_close(strongest, torch.ones(4), rtol=0.1, atol=0)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 0.05
    torch.testing.assert_close(out[half:], -out[:half])


def deep_cnn(images):
    """A network of which only the preprocessing is fitted to the images."""
    channels, size = images.shape[1:3]
    spec = {"kind": "deep-cnn", "channels": channels, "image_size": size, "classes": 10}
    model = build.from_spec(spec).trainable
    model.preprocessing.fit([images])
    return model


@pytest.mark.parametrize("channels, size", [(3, 32), (1, 20)])
def test_whitening_by_parts_gives_the_filters_of_all_patches_at_once(channels, size, monkeypatch):
    images = noise(channels, size, 50)
    model = deep_cnn(images)
    patches = model.preprocessing(images).unfold(2, 2, 1).unfold(3, 2, 1)
    patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(1).double()
    values, vectors = torch.linalg.eigh(patches.T.cov())
    filters = (vectors / (values + 5e-4).sqrt()).T.flip(0).float().view(-1, channels, 2, 2)
    monkeypatch.setattr(cnn, "WHITENING_BYTES", 7 * 8 * 4 * channels * size**2)  # 7 images: 50 is no multiple
    model.whiten(images)
    torch.testing.assert_close(model.whitening.weight, torch.cat([filters, -filters]), rtol=0, atol=1e-5)


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation gives."""

    bytes = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        outputs = operation(*arguments, **(options or {}))
        tensors = [each for each in tree_leaves(outputs) if isinstance(each, torch.Tensor)]
        self.bytes = max([self.bytes, *(tensor.untyped_storage().nbytes() for tensor in tensors)])
        return outputs


def test_whitening_makes_no_tensor_larger_than_its_limit():
    images = torch.randint(0, 256, (120, 3, 96, 96), dtype=torch.uint8)  # their patches together take 104 MB
    model = deep_cnn(images)
    with Largest() as largest:
        model.whiten(images)
    assert largest.bytes <= cnn.WHITENING_BYTES


def test_the_deep_network_starts_by_passing_channels_on():
    network, _ = build.from_scratch("deep-cnn", as_kept(noise(3, 32)), 10)
    group = network.trainable.groups[1]
    x = torch.randn(2, 64, 8, 8)
    torch.testing.assert_close(group.conv1(x)[:, :64], x)
