"""What the audit needs to know of one image's pixels, found while they are at hand."""

from __future__ import annotations

from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image

from headstart.data.dataset import digest_of

HASH_SIDE = 8  # a perceptual hash has 8 x 8 bits


@dataclass(frozen=True)
class Traits:
    """sha256: of shape and pixels, equal for identical images, empty for none. phash: 64 bits, alike for images that
    look alike. grey: all three channels are the same."""

    sha256: str = ""
    phash: int = 0
    grey: bool = False


def traits_of(pixels: np.ndarray) -> Traits:
    """The traits of an image (H, W, 3) uint8.

    The perceptual hash is imagehash's phash: the signs of the lowest 8 x 8 frequencies of the cosine transform.
    """
    bits = imagehash.phash(Image.fromarray(pixels), HASH_SIDE).hash
    grey = bool((pixels[..., :1] == pixels).all())
    return Traits(digest_of(pixels), int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True), grey)
