"""A classifier as one graph of tensors, from whole photos to probabilities: what is exported, resizing inside.

Pillow's resize is two matrix products, each rounded to 8 bits. Their weights follow from height and width alone, so the
graph makes them itself, as Pillow does: from exact fractions, in fixed point of FRACTION bits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import PIL
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from headstart.data.decode import PADDING
from headstart.errors import HeadstartError
from headstart.inference.classifier import UNKNOWN_SQUARE
from headstart.models.network import Network, last_linear
from headstart.options import CROP, LETTERBOX

FRACTION = 22  # bits of Pillow's fixed-point weights
LOWER = 11  # of them in a product of their own: sums of whole numbers below 2 ** 24 are exact in float32
DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13  # whether Pillow resizes tall pictures along their height first
SHARPNESS = -0.5  # of Pillow's bicubic kernel: Keys 1981, "Cubic convolution interpolation", its a


class WholePhotos(nn.Module):
    """Whole photos (N, H, W, 3) uint8, upright RGB -> probabilities (N, C), features (N, D) and, where training's
    `reference` (M, D) float16 is given, how far each photo is from that, (N,) as `novelty.distances`; all float32.

    It does what `Classifier.predict_proba` does of pixels: fits them into squares of `sides` in turn by `fit`, as
    `decode.fitted`, classifies them, divides the logits by `temperature`. Features are what the last linear layer is
    given. N, H and W may be any. The network is a copy.
    """

    reference: Tensor | None

    def __init__(
        self,
        network: Network,
        sides: Sequence[int],
        fit: str,
        temperature: float,
        reference: np.ndarray | None = None,
    ):
        super().__init__()
        if not sides:
            raise HeadstartError(UNKNOWN_SQUARE)
        self.network = copy.deepcopy(network).cpu().eval()
        self.sides, self.fit, self.temperature = tuple(sides), fit, temperature
        self.last = last_linear(self.network)
        self.register_buffer("reference", None if reference is None else torch.from_numpy(np.array(reference)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities, features and, of a reference, distances."""
        images = pixels.permute(0, 3, 1, 2).float()
        for side in self.sides:
            images = fitted(images, side, self.fit)
        features: list[Tensor] = []
        hook = self.last.register_forward_pre_hook(lambda _, given: features.append(given[0]))
        logits = self.network(images)
        hook.remove()
        said = (logits / self.temperature).softmax(dim=1), features[0]
        if self.reference is None:
            return said
        return *said, 1 - (normalize(features[0]) @ normalize(self.reference.float()).T).amax(dim=1)


def fitted(images: Tensor, side: int, fit: str) -> Tensor:
    """Images (N, 3, H, W), whole numbers from 0 to 255 in float32, in squares (N, 3, side, side) of the same, as
    `decode.fitted` has them."""
    if images.shape[2:] == (side, side):  # of a size that is known beforehand; of others the products change nothing
        return images
    height, width = (torch.full((), length, dtype=torch.int64) for length in images.shape[2:])
    seen, shown = [], []
    for length in (height, width):
        kept = torch.minimum(height, width) if fit == CROP else length
        size = torch.full_like(length, side)
        if fit == LETTERBOX:
            scale = side / torch.maximum(height, width).double()
            size = (scale * length.double()).round().long().clamp(min=1)
        seen.append(((length - kept) // 2, kept))
        shown.append(((side - size) // 2, size))
    rows, columns = (
        _weights(length, side, *each, *filled)
        for length, each, filled in zip(images.shape[2:], seen, shown, strict=True)
    )
    is_tall = (height > shown[0][1]) & (height - shown[0][1] > 2 * (width - shown[1][1]))
    if fit == CROP or not DOWN_FIRST:
        squares = _across_first(images, rows, columns)
    else:
        squares = torch.cond(is_tall, _down_first, _across_first, (images, rows, columns))
    if fit != LETTERBOX:
        return squares
    is_down, is_across = (_within(torch.arange(side), *filled) for filled in shown)
    padding = torch.tensor(PADDING, dtype=torch.float32).view(1, 3, 1, 1)
    return torch.where(is_down[:, None] & is_across, squares, padding)


def _across_first(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return _down(_across(images, columns), rows)


def _down_first(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return _across(_down(images, rows), columns)


def _across(images: Tensor, columns: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 3, H, side)."""
    return _eight_bits(*(images @ columns.T).chunk(2, dim=3))


def _down(images: Tensor, rows: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 3, side, W)."""
    return _eight_bits(*(rows @ images).chunk(2, dim=2))


def _weights(length: int, side: int, first: Tensor, kept: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """What resizes `kept` of `length` pixels, from `first` on, to `size` of `side` pixels, from `start` on: matrices
    (2 * side, length) of whole numbers in float32, the upper bits of Pillow's weights above the lower ones."""
    pixels, places = torch.arange(length) - first, torch.arange(side) - start
    # Between the middles of two pixels, in widths of the kernel: exact but for the division.
    apart = (2 * places[:, None] + 1) * kept - (2 * pixels + 1) * size
    distance = (apart.double() / (2 * torch.maximum(kept, size)).double()).abs()
    near = ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * SHARPNESS
    kernel = torch.where(distance < 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))
    kernel = kernel * (
        _within(pixels, torch.zeros_like(kept), kept) & _within(places, torch.zeros_like(size), size)[:, None]
    )
    total = kernel.sum(dim=1, keepdim=True)
    share = kernel / torch.where(total == 0, torch.ones_like(total), total)
    fixed = share.sign() * (share.abs() * 2**FRACTION + 0.5).floor()
    upper = (fixed / 2**LOWER).round()
    return torch.cat([upper, fixed - upper * 2**LOWER]).float()


def _within(places: Tensor, start: Tensor, size: Tensor) -> Tensor:
    return (places >= start) & (places < start + size)


def _eight_bits(upper: Tensor, lower: Tensor) -> Tensor:
    """Sums of pixels times the two parts of weights, as Pillow rounds them to 8 bits: float32."""
    total = upper.double() * 2**LOWER + lower.double()
    return ((total + 2 ** (FRACTION - 1)) / 2**FRACTION).floor().clamp(0, 255).float()
