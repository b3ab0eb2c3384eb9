from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.models.preprocessing import Preprocessing

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(32, 32), (20, 48), (300, 200)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_resizing_equals_pillows(size, interpolation):
    """Its floating-point mode, that is: in 8 bits Pillow also rounds and clips, after each of its two passes."""
    pixels = GENERATOR.integers(0, 256, size, dtype=np.uint8)
    kernel = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[interpolation]
    expected = np.asarray(Image.fromarray(pixels.astype(np.float32)).resize((64, 64), kernel))
    layer = Preprocessing([0.0], [1 / 255], 64, interpolation)
    np.testing.assert_allclose(layer(torch.from_numpy(pixels)[None, None])[0, 0], expected, atol=0.01)


def test_normalising_follows_mean_and_std_in_fractions_of_full_scale():
    layer = Preprocessing([0.0, 0.5, 1.0], [1.0, 0.5, 0.25])
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert layer(pixels)[0, :, 0, 0].tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_fit_takes_each_channels_mean_and_std():
    pixels = torch.from_numpy(GENERATOR.integers(0, 256, (50, 3, 8, 8), dtype=np.uint8))
    layer = Preprocessing([0.5] * 3, [0.5] * 3)
    layer.fit([pixels])
    out = layer(pixels)
    assert out.mean((0, 2, 3)).abs().max() < 1e-4
    torch.testing.assert_close(out.std((0, 2, 3), correction=0), torch.ones(3), rtol=1e-4, atol=0)


def test_a_flat_channel_stays_finite():
    pixels = torch.full((4, 1, 8, 8), 7, dtype=torch.uint8)
    layer = Preprocessing([0.5], [0.5])
    layer.fit([pixels])
    assert (layer(pixels) == 0).all()


def test_it_travels_with_the_weights():
    layer, other = Preprocessing([0.1], [0.2]), Preprocessing([0.5], [0.5])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.mean, layer.mean)
    assert torch.equal(other.std, layer.std)
