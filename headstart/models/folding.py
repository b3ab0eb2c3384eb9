"""Pre-trained pieces made ready to go on learning: BatchNorm folded away, and convolutions in their quickest form."""

from __future__ import annotations

import copy
from collections import OrderedDict
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.models.convolutions import (
    Depthwise,
    GlobalMean,
    MatrixProducts,
    OfImages,
    Pointwise,
    SqueezeExcite,
    Windowed,
)

IMAGE_CHANNELS = 4  # at most
SMALL_MAP = 144  # pixels: pieces that see no larger maps work on them as (C, H, W, N)


def retrainable(pieces: nn.Sequential, shape: torch.Size, fold: bool) -> list[nn.Sequential]:
    """A copy of pre-trained pieces in one part or two: those that see large maps, and those that see small ones.

    shape: (C, H, W) of one input. fold: each BatchNorm goes into the convolution before it (what is folded in cannot
    drift); else norms stay as they are, and so do memory orders. A BatchNorm is taken to belong to the convolution
    registered just before it; where that turns out wrong (the result must be the same, on noise), a plain copy of the
    pieces comes back. It is tried with random statistics, so that the answer depends on the structure alone and a saved
    network is built the same.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, *shape, generator=generator)
    trial = copy.deepcopy(pieces).eval()
    for module in trial.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    with torch.no_grad():
        small = _first_of_small_maps(trial, noise) if fold else len(trial)
        expected, got = trial(noise), nn.Sequential(*_converted(trial, fold, small))(noise)
    same = expected.shape == got.shape and (expected - got).abs().max() <= 1e-3 * expected.abs().max()
    return _converted(pieces, fold, small) if same else [copy.deepcopy(pieces)]


def _first_of_small_maps(pieces: nn.Sequential, x: Tensor) -> int:
    """The number of the first piece that is given maps of SMALL_MAP pixels or fewer."""
    for place, piece in enumerate(pieces):
        if x.ndim == 4 and x.shape[2] * x.shape[3] <= SMALL_MAP:
            return place
        x = piece(x)
    return len(pieces)


def _converted(pieces: nn.Sequential, fold: bool, small: int) -> list[nn.Sequential]:
    """Copies of the pieces before number `small`, and of those from there on; a part that is empty is left out."""
    whole = copy.deepcopy(pieces)
    if fold:
        _fold(whole)
    children = list(whole.named_children())
    parts = nn.Sequential(OrderedDict(children[:small])), MatrixProducts(OrderedDict(children[small:]))
    for part in parts:
        for parent in reversed(list(part.modules())):  # what is inside first: a part that is replaced takes it along
            for name, module in list(parent.named_children()):
                setattr(parent, name, _quicker(module, is_small=part is parts[1]))
    return [part for part in parts if len(part)]


def _fold(pieces: nn.Sequential) -> None:
    for parent in list(pieces.modules()):
        for (name, first), (after, second) in pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, _BatchNorm):
                setattr(parent, name, _folded(first, second))
                setattr(parent, after, getattr(second, "act", nn.Identity()))  # timm's norms hold their activation
    for module in pieces.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]  # in place on a view, autograd would copy all behind it


def _folded(convolution: nn.Conv2d, norm: _BatchNorm) -> nn.Conv2d:
    """One convolution that gives what a convolution and a BatchNorm in evaluation mode give."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias
    folded = type(convolution)(convolution.in_channels, convolution.out_channels, **_geometry(convolution))
    with torch.no_grad():
        folded.weight.copy_(convolution.weight * scale[:, None, None, None])
        assert folded.bias is not None
        folded.bias.copy_((bias - norm.running_mean) * scale + norm.bias)
    return folded


def _quicker(module: nn.Module, is_small: bool) -> nn.Module:
    """The same function of the same parameters, in the form that is quickest where maps are as small, or not."""
    from timm.models._efficientnet_blocks import SqueezeExcite as Timms  # costs a second: only where it is wanted

    if isinstance(module, nn.Conv2d):
        return _quicker_convolution(module, is_small)
    if is_small and isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return GlobalMean()
    if is_small and isinstance(module, Timms):
        return SqueezeExcite(OrderedDict(module.named_children()))
    return module


def _quicker_convolution(convolution: nn.Conv2d, is_small: bool) -> nn.Conv2d:
    """The same convolution, of the same parameters, in the form that its geometry and its maps allow."""
    from timm.layers import Conv2dSame  # costs a second and imports torchvision: only where a backbone is wanted

    (height, width), (down, right) = convolution.kernel_size, convolution.stride
    same = isinstance(convolution, Conv2dSame)
    is_square = height == width and down == right and convolution.dilation == (1, 1)
    has_windows = is_square and (same or convolution.padding in [(each, each) for each in range(height)])
    kind: type[nn.Conv2d] = type(convolution)
    if convolution.groups == 1 and height * width * down * right == 1 and is_small and convolution.bias is not None:
        kind = Pointwise
    elif has_windows and convolution.groups == convolution.in_channels == convolution.out_channels:
        kind = Depthwise
    elif has_windows and convolution.groups == 1 and convolution.in_channels <= IMAGE_CHANNELS:
        kind = OfImages
    if kind is type(convolution):
        return convolution
    meta: dict[str, Any] = {"device": "meta"}  # no random numbers are drawn: its parameters are those of the other
    quicker = kind(convolution.in_channels, convolution.out_channels, **_geometry(convolution), **meta)
    quicker.weight, quicker.bias = convolution.weight, convolution.bias
    if isinstance(quicker, Windowed):
        quicker.same = same
    return quicker


def _geometry(convolution: nn.Conv2d) -> dict[str, Any]:
    return {key: getattr(convolution, key) for key in ("kernel_size", "stride", "padding", "dilation", "groups")}
