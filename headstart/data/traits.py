"""What the audit needs to know of one image's pixels, found while they are at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.data.dataset import digest_of


@dataclass(frozen=True)
class Traits:
    """sha256: of shape and pixels, equal for identical images, empty for none. grey: all three channels are equal."""

    sha256: str = ""
    grey: bool = False


def traits_of(pixels: np.ndarray) -> Traits:
    """The traits of an image (H, W, 3) uint8."""
    return Traits(digest_of(pixels), bool((pixels[..., :1] == pixels).all()))
