"""The two networks that start from scratch. Sizes are parameters: nothing here knows CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

from headstart.models.convolutions import Wide
from headstart.models.preprocessing import Preprocessing

WIDE = 128  # channels, from which on products are the quicker way to a weight's gradient
WHITENING_BYTES = 2**26  # of patches at a time: those of 5,000 images of 224 pixels take 24 GB


class BaseCNN(nn.Sequential):
    """Three convolutions, each followed by a pooling, and a dense layer: (N, C, H, W) uint8 -> (N, classes) logits."""

    def __init__(self, preprocessing: Preprocessing, channels: int, image_size: int, classes: int):
        layers: list[nn.Module] = [preprocessing]
        widths = (channels, 32, 64, 128)
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.MaxPool2d(2),  # before the norm, which then has a quarter of the work; the result is much the same
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        side = image_size // 8
        layers += [nn.Flatten(), nn.Linear(128 * side * side, 128), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.Linear(128, classes))


class DeepCNN(nn.Module):
    """A convolution that whitens patches, three groups of two convolutions, a linear head: uint8 images -> logits.

    The family of Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498).
    """

    LOGIT_SCALE = 1 / 9

    def __init__(
        self,
        preprocessing: Preprocessing,
        channels: int,
        image_size: int,
        classes: int,
        widths: tuple[int, ...] = (64, 256, 256),
    ):
        super().__init__()
        self.preprocessing = preprocessing
        whitened = 2 * 4 * channels  # a filter and its negative for each of the 2x2 patch's values
        self.whitening = nn.Conv2d(channels, whitened, 2, bias=False).requires_grad_(False)
        self.activation = nn.SiLU(inplace=True)
        befores = (whitened, *widths)
        self.groups = nn.Sequential(*(ConvGroup(a, b) for a, b in zip(befores, widths, strict=False)))
        self.head = nn.Linear(widths[-1], classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch."""
        x = self.activation(self.whitening(self.preprocessing(images)))
        return self.head(self.groups(x).amax(dim=(2, 3))) * self.LOGIT_SCALE

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Set the first filters so that what they give of images (N, C, H, W) uint8 has about unit covariance."""
        eigenvalues, eigenvectors = torch.linalg.eigh(self._covariance(images))
        filters = (eigenvectors / (eigenvalues + 5e-4).sqrt()).T.flip(0).float()
        filters = filters.view(-1, *self.whitening.weight.shape[1:])
        self.whitening.weight.copy_(torch.cat([filters, -filters]))

    def _covariance(self, images: Tensor) -> Tensor:
        """Covariance (4 C, 4 C) float64 of all 2x2 patches of images (N, C, H, W) uint8 once they are preprocessed."""
        values = self.whitening.weight[0].numel()
        image_bytes = 8 * values * self.preprocessing(images[:1])[0, 0].numel()
        count = 0
        total = self.whitening.weight.new_zeros(values, dtype=torch.float64)
        products = self.whitening.weight.new_zeros(values, values, dtype=torch.float64)
        for some in images.split(max(1, WHITENING_BYTES // image_bytes)):
            patches = self.preprocessing(some).unfold(2, 2, 1).unfold(3, 2, 1)  # (n, C, H-1, W-1, 2, 2)
            patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, values).double()
            count += len(patches)
            total += patches.sum(0)
            products += patches.T @ patches
        mean = total / count  # near 0, as preprocessing leaves it: so little is lost in the difference
        return (products - count * mean.outer(mean)) / (count - 1)


class ConvGroup(nn.Sequential):
    """Convolution, 2x2 max-pooling, norm, activation; convolution, norm, activation."""

    def __init__(self, before: int, after: int):
        super().__init__(
            OrderedDict(
                conv1=_dirac(_convolution(before, after)),
                pool=nn.MaxPool2d(2),
                norm1=_shift_only_norm(after),
                activation1=nn.SiLU(inplace=True),
                conv2=_dirac(_convolution(after, after)),
                norm2=_shift_only_norm(after),
                activation2=nn.SiLU(inplace=True),
            )
        )


def _convolution(before: int, after: int) -> nn.Conv2d:
    return (Wide if before >= WIDE else nn.Conv2d)(before, after, 3, padding=1, bias=False)


def _dirac(convolution: nn.Conv2d) -> nn.Conv2d:
    """Let a convolution start by passing its input channels on; those beyond them start at random."""
    nn.init.dirac_(convolution.weight[: convolution.in_channels])
    return convolution


def _shift_only_norm(width: int) -> nn.BatchNorm2d:
    """BatchNorm whose scale stays 1: the filters' own scale is fixed too, by Muon."""
    norm = nn.BatchNorm2d(width, eps=1e-12)
    norm.weight.requires_grad_(False)
    return norm
