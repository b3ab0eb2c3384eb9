"""From uint8 images to what a network's weights expect. It is the network's first layer, so it travels with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COUNTED = 2000  # images at a time


class Preprocessing(nn.Module):
    """Resize to a square of `image_size` pixels (None: leave the size) and normalise: (N, C, H, W) uint8 -> float.

    mean and std are fractions of full scale, one a channel. Any input size is accepted. Resizing equals Pillow's, its
    antialiasing when it shrinks too, but for its rounding to 8 bits. It is done as two small matrix products: on a CPU
    that costs a fraction of what `interpolate` does on a batch, and every inference engine has it.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], image_size: int | None = None, interpolation: str = "bicubic"
    ):
        super().__init__()
        self.image_size, self.interpolation = image_size, interpolation
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, -1, 1, 1), persistent=True)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, -1, 1, 1), persistent=True)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, C, image_size, image_size) float32 from (N, C, H, W) uint8."""
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        height, width = images.shape[-2:]
        size = self.image_size
        if size is None or (height, width) == (size, size):
            return normalised
        rows = resize_matrix(height, size, self.interpolation).to(normalised)
        columns = resize_matrix(width, size, self.interpolation).to(normalised)
        return rows @ normalised @ columns.T  # (S, H) @ (N, C, H, W) @ (W, S)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take mean and standard deviation of each channel from batches of images (N, C, H, W) uint8."""
        counts = torch.zeros(self.mean.numel(), 256, dtype=torch.float64)
        for images in batches:
            for some in images.cpu().split(COUNTED):  # bincount makes numbers of eight bytes of them
                counts += torch.stack([channel.flatten().bincount(minlength=256) for channel in some.unbind(1)])
        levels = torch.arange(256, dtype=torch.float64)
        mean = counts @ levels / counts.sum(1)
        std = (
            (counts @ levels.square() / counts.sum(1) - mean.square()).sqrt().clamp(min=1.0)
        )  # a flat channel has none
        self.mean.copy_(mean.view_as(self.mean))
        self.std.copy_(std.view_as(self.std))

    def extra_repr(self) -> str:  # noqa: D102 - part of the key of cached activations: it must tell all that is not a weight
        return f"image_size={self.image_size}, interpolation={self.interpolation!r}"


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # kept for training too, whoever asks first
def resize_matrix(size: int, new_size: int, interpolation: str) -> Tensor:
    """The (new_size, size) float32 matrix that resizes a column of pixels: interpolation is linear, so its columns are
    what it makes of the unit vectors. Pillow's kernels, which torch follows only where it antialiases."""
    unit = torch.eye(size)[None, None]  # (1, 1, size, size): a unit vector a column
    return F.interpolate(unit, (new_size, size), mode=interpolation, antialias=True)[0, 0]
