"""Convolutions of a network that is retrained: the same function, in a fraction of the time on a CPU.

There libraries are quick at inference and at training dense convolutions; in training, all else costs more than its
arithmetic (oneDNN's backward of depthwise convolutions took nine tenths of a step of a whole EfficientNet-Lite0:
docs/decisions/unfreezing.md). What form a convolution takes depends on its geometry and the size of its maps alone. An
exported program has them as plain convolutions: that is what other engines are quick at, and quantise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_exporting
from torch.nn import functional as F

WINDOWS_BYTES = 2**25  # of all windows of some maps, written out at a time
MOST_PRODUCTS = 8  # as many multiplications as the kernel needs are still quicker as a matrix product


class Pointwise(nn.Conv2d):
    """A 1x1 convolution of maps (N, C, H, W) that lie in memory as (C, H, W, N), as its output does."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        if is_exporting():
            return super().forward(x)
        count, channels, height, width = x.shape
        columns = x.permute(1, 2, 3, 0).reshape(channels, -1)  # (C, H * W * N), not copied
        out: Tensor = _Product.apply(self.weight.flatten(1), self.bias, columns)
        return out.view(-1, height, width, count).permute(3, 0, 1, 2)


class _Product(torch.autograd.Function):
    """weight (O, C), bias (O,), columns (C, M) -> (O, M).

    The gradient of the columns is a product with the transposed weight, which oneDNN is slow to read in bf16: autograd
    would hand it on as it lies, and take twice as long.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(weight, columns)
        return torch.addmm(bias[:, None], weight, columns)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        (gradient,) = gradients  # (O, M), in the precision that autocast chose
        weight, columns = (each.to(gradient) for each in ctx.saved_tensors)
        of_columns = weight.T.contiguous() @ gradient if ctx.needs_input_grad[2] else None
        return gradient @ columns.T, gradient.sum(1), of_columns


class Windowed(nn.Conv2d):
    """A convolution whose square windows step over maps as TensorFlow has them where `same`, else as PyTorch has them.

    TensorFlow pads a map so that there is a window for every stride-th pixel, and what is odd after its last one.
    """

    same = False

    def windows(self, length: int) -> tuple[int, int]:
        """How far before the first of `length` pixels the first window begins, and how many windows there are."""
        size, stride = self.kernel_size[0], self.stride[0]
        if not self.same:
            before = int(self.padding[0])
            return before, (length + 2 * before - size) // stride + 1
        count = -(-length // stride)
        return max((count - 1) * stride + size - length, 0) // 2, count

    def padded(self, x: Tensor, size: int) -> Tensor:
        """Maps that begin with the first window and end with the last, were windows of this size."""
        pads = []
        for length in (x.shape[3], x.shape[2]):  # F.pad begins with the last axis
            before, count = self.windows(length)
            pads += [before, (count - 1) * self.stride[0] + size - before - length]
        return F.pad(x, pads)


class OfImages(Windowed):
    """The first convolution, of an image's few channels: oneDNN's backward is slow unless pixels lie channel by channel
    (half a second for 64 images of 96 pixels a side, against 7 ms)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        x = self.padded(x, self.kernel_size[0]).contiguous()
        return F.conv2d(x, self.weight.contiguous(), self.bias, self.stride)


class Depthwise(Windowed):
    """A depthwise convolution of maps (N, C, H, W).

    Of small maps, which had better lie in memory as (C, H, W, N), it is a matrix product a channel. Of large ones a
    convolution with a stride is cut, on a CPU, into convolutions without one, which oneDNN is quick at.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        if not is_exporting() and x.shape[2] * x.shape[3] <= MOST_PRODUCTS * self.kernel_size[0] ** 2:
            return self._as_matrices(x)
        if not is_exporting() and self.stride[0] > 1 and x.is_cpu:
            return self._in_phases(x)
        return F.conv2d(self.padded(x, self.kernel_size[0]), self.weight, self.bias, self.stride, groups=self.groups)

    def _as_matrices(self, x: Tensor) -> Tensor:
        """Each channel's P pixels times a matrix (P_out, P) that holds the kernel at every place."""
        count, channels, height, width = x.shape
        (above, rows), (left, columns) = self.windows(height), self.windows(width)
        size, stride = self.kernel_size[0], self.stride[0]
        taps = _taps((height, rows, above), (width, columns, left), size, stride).to(self.weight)
        matrices = (self.weight.flatten(1) @ taps).view(channels, rows * columns, height * width)
        pixels = x.permute(1, 2, 3, 0).reshape(channels, height * width, count)
        out = (
            torch.bmm(matrices, pixels)
            if self.bias is None
            else torch.baddbmm(self.bias[:, None, None], matrices, pixels)
        )
        return out.view(channels, rows, columns, count).permute(3, 0, 1, 2)

    def _in_phases(self, x: Tensor) -> Tensor:
        """Sum over the s * s phases of a stride s: every s-th pixel, convolved with every s-th tap of the kernel."""
        size, stride = self.kernel_size[0], self.stride[0]
        taps = -(-size // stride) * stride  # of the kernel, filled up with zeros
        phases = _in_steps(self.padded(x, taps), stride)
        kernels = _in_steps(F.pad(self.weight, (0, taps - size) * 2), stride)
        outs = [F.conv2d(*each, groups=self.groups) for each in zip(phases, kernels, strict=True)]
        out = sum(outs[1:], start=outs[0])
        return out if self.bias is None else out + self.bias.to(out)[:, None, None]


def _in_steps(maps: Tensor, step: int) -> list[Tensor]:
    """Every step-th pixel of maps (N, C, H, W), from each of the first step * step on."""
    rows = maps.unflatten(3, (-1, step)).unflatten(2, (-1, step)).unbind(3)  # (N, C, H / step, W / step, step) each
    return [phase for row in rows for phase in row.unbind(4)]


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for training too, whoever asks first
def _taps(vertical: tuple[int, int, int], horizontal: tuple[int, int, int], size: int, stride: int) -> Tensor:
    """Which weight of a size x size kernel leads from which pixel to which: (size ** 2, P_out * P) zeros and ones.

    vertical, horizontal: of an axis, how many pixels, how many windows, and how far before the first the first begins.
    """

    def along(pixels: int, windows: int, before: int) -> Tensor:  # (size, out, in): the tap of `out` that lies on `in`
        offset = torch.arange(pixels)[None, :] - stride * torch.arange(windows)[:, None] + before
        return torch.stack([offset == tap for tap in range(size)]).float()

    # every pair of a vertical and a horizontal tap: (kh, kw, out_y, out_x, in_y, in_x)
    both = torch.einsum("aij,bkl->abikjl", along(*vertical), along(*horizontal))
    return both.reshape(size * size, -1)


class GlobalMean(nn.Module):
    """The mean of each map (N, C, H, W) that lies in memory as (C, H, W, N), which torch's own pooling would walk
    against the grain."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, 1, 1)."""
        if is_exporting():
            return x.mean((2, 3), keepdim=True)
        means: Tensor = _MeanOfPixels.apply(_pixels(x))
        return means.T[:, :, None, None]


class SqueezeExcite(nn.Sequential):
    """Pieces that tell, of the mean of each map, what the map is multiplied by; maps as for `GlobalMean`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the shape of x."""
        factors: Tensor = super().forward(GlobalMean()(x))
        if is_exporting():
            return x * factors
        return (_pixels(x) * _pixels(factors)).unflatten(1, x.shape[2:]).permute(3, 0, 1, 2)


def _pixels(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (C, H * W, N), not copied where that is how they lie."""
    return maps.permute(1, 2, 3, 0).flatten(1, 2)


class _MeanOfPixels(torch.autograd.Function):
    """(C, P, N) -> (C, N). Its gradient comes back in rows of N, as all that is computed with it lies; autograd's would
    lie as the (N, C) that a classifier gives."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> Tensor:
        ctx.shape = pixels.shape
        return pixels.sum(1) / ctx.shape[1]  # `mean` first makes fp32 of bf16

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return (gradients[0] / ctx.shape[1]).contiguous()[:, None].expand(ctx.shape)


class Wide(nn.Conv2d):
    """A 3x3 convolution, padded by 1, of maps of many channels that lie channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H, W)."""
        return _WideConvolution.apply(x, self.weight) if x.is_cpu else super().forward(x)


class _WideConvolution(torch.autograd.Function):
    """maps (N, C, H, W), weight (O, C, 3, 3) -> (N, O, H, W).

    oneDNN takes up to ten times as long for the weight's gradient in bf16 as for its other two products, the more the
    smaller the maps are; as one matrix product over all windows it takes three times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor]:
        (gradient,) = gradients  # (N, O, H, W), in the precision that autocast chose
        x, weight = (each.to(gradient) for each in ctx.saved_tensors)
        by_products = gradient.dtype == torch.bfloat16  # in fp32 they are no quicker
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            *(gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
            [ctx.needs_input_grad[0], not by_products, False],
        )
        return of_x, _gradient_by_products(gradient, x) if by_products else of_weight


def _gradient_by_products(gradient: Tensor, x: Tensor) -> Tensor:
    """Of the weight (O, C, 3, 3), float32, from the gradient (N, O, H, W) and the maps (N, C, H, W)."""
    channels, outs = x.shape[1], gradient.shape[1]
    images = max(1, WINDOWS_BYTES // (9 * x[0].numel() * x.element_size()))
    total = torch.zeros(outs, 9 * channels)
    for some, maps in zip(gradient.split(images), x.split(images), strict=True):
        padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        windows = padded.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 1, 2, 4, 5, 3)  # (n, H, W, 3, 3, C)
        total += some.permute(0, 2, 3, 1).reshape(-1, outs).T @ windows.reshape(-1, 9 * channels)
    return total.view(outs, 3, 3, channels).permute(0, 3, 1, 2)


class MatrixProducts(nn.Sequential):
    """Pieces of a network that take maps (N, C, H, W) in any memory order and work on them as (C, H, W, N)."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the pieces."""
        if is_exporting():
            return super().forward(x)
        return super().forward(x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2))
