"""Convolutions of small maps as plain matrix products: the same function, in about half of the time on a CPU.

A retrained tail sees maps of a few pixels a side. There a 1x1 convolution is one matrix product, and a depthwise one
a small matrix for each channel; libraries made for large maps spend most of their time elsewhere (oneDNN's backward
of two 5x5 depthwise convolutions took half of a training step: docs/decisions/tail.md).
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

LARGEST_MAP = 64  # pixels: beyond, a matrix a channel costs more than it saves


class Pointwise(nn.Conv2d):
    """A 1x1 convolution of maps (N, C, H, W) that lie in memory as (C, H, W, N), as its output does."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        count, channels, height, width = x.shape
        columns = x.permute(1, 2, 3, 0).reshape(channels, -1)  # (C, H * W * N), not copied
        assert self.bias is not None
        out = torch.addmm(self.bias[:, None], self.weight.flatten(1), columns)
        return out.view(-1, height, width, count).permute(3, 0, 1, 2)


class Depthwise(nn.Conv2d):
    """A depthwise convolution that keeps the size of maps (N, C, H, W), which lie in memory as (C, H, W, N)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        count, channels, height, width = x.shape
        pixels = height * width
        if pixels > LARGEST_MAP:
            return super().forward(x)
        taps = _taps(height, width, self.kernel_size[0]).to(self.weight)  # (k * k, P * P)
        matrices = (self.weight.flatten(1) @ taps).view(channels, pixels, pixels)
        columns = x.permute(1, 2, 3, 0).reshape(channels, pixels, count)
        assert self.bias is not None
        out = torch.baddbmm(self.bias[:, None, None], matrices, columns)
        return out.view(channels, height, width, count).permute(3, 0, 1, 2)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # kept for training too, whoever asks first
def _taps(height: int, width: int, size: int) -> Tensor:
    """Which weight of a size x size kernel leads from which pixel to which: (size ** 2, P ** 2) zeros and ones."""

    def along(length: int) -> Tensor:  # (size, out, in): the tap that lies on `in` when the kernel is centred on `out`
        offset = torch.arange(length)[None, :] - torch.arange(length)[:, None] + size // 2
        return torch.stack([offset == tap for tap in range(size)]).float()

    # every pair of a vertical and a horizontal tap: (kh, kw, out_y, out_x, in_y, in_x)
    both = torch.einsum("aij,bkl->abikjl", along(height), along(width))
    return both.reshape(size * size, -1)


class MatrixProducts(nn.Sequential):
    """Pieces of a network that take maps (N, C, H, W) in any memory order and work on them as (C, H, W, N)."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the pieces."""
        return super().forward(x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2))


def as_matrix_products(pieces: nn.Sequential, shape: torch.Size) -> nn.Sequential:
    """A copy of pre-trained pieces, each BatchNorm folded into the convolution before it (what is folded in cannot
    drift), and the convolutions that allow it done as matrix products.

    shape: (C, H, W) of one input. A BatchNorm is taken to belong to the convolution registered just before it; where
    that turns out wrong (the result must be the same, on noise), a plain copy of the pieces comes back. It is tried
    with random statistics, so that the answer depends on the structure alone and a saved network is built the same.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, *shape, generator=generator)
    trial = copy.deepcopy(pieces).eval()
    for module in trial.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    with torch.no_grad():
        expected, got = trial(noise), _converted(trial)(noise)
    same = expected.shape == got.shape and (expected - got).abs().max() <= 1e-3 * expected.abs().max()
    return _converted(pieces) if same else copy.deepcopy(pieces)


def _converted(pieces: nn.Sequential) -> MatrixProducts:
    folded = MatrixProducts(OrderedDict(copy.deepcopy(pieces).named_children()))
    for parent in list(folded.modules()):
        for (name, first), (after, second) in pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, _BatchNorm):
                setattr(parent, name, _folded(first, second))
                setattr(parent, after, getattr(second, "act", nn.Identity()))  # timm's norms hold their activation
    for module in folded.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]  # in place on a view, autograd would copy all behind it
    return folded


def _folded(convolution: nn.Conv2d, norm: _BatchNorm) -> nn.Conv2d:
    """One convolution that gives what a convolution and a BatchNorm in evaluation mode give."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias
    size, groups = convolution.kernel_size[0], convolution.groups
    is_plain = convolution.kernel_size == (size, size) and convolution.stride == convolution.dilation == (1, 1)
    kind: type[nn.Conv2d] = type(convolution)
    if is_plain and size == 1 and groups == 1:
        kind = Pointwise
    elif is_plain and groups == convolution.in_channels == convolution.out_channels and _keeps_size(convolution):
        kind = Depthwise
    geometry: dict[str, Any] = {
        key: getattr(convolution, key) for key in ("kernel_size", "stride", "padding", "dilation", "groups")
    }
    folded = kind(convolution.in_channels, convolution.out_channels, **geometry)
    with torch.no_grad():
        folded.weight.copy_(convolution.weight * scale[:, None, None, None])
        assert folded.bias is not None
        folded.bias.copy_((bias - norm.running_mean) * scale + norm.bias)
    return folded


def _keeps_size(convolution: nn.Conv2d) -> bool:
    height, width = convolution.kernel_size
    return height % 2 == 1 and convolution.padding == (height // 2, width // 2)
