"""From an image as a user has it to what a network is given: one way, for training and for use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.data.decode import DecodeError, fitted, read_image, upright_rgb
from headstart.data.ranges import FLOATS, OF_TYPES, RangeError, Whites, eight_bits, kind_of
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

PIXELS = "pixels are integers from 0 to 255, uint16, or floats from 0 to 1 (or to what the run's were)"

Picture = str | PathLike[str] | Image.Image | np.ndarray
"""A file, a Pillow image, or an array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); see `image_of`."""


def image_of(picture: Picture, whites: Whites = OF_TYPES) -> Image.Image:
    """An image upright and in mode RGB, with the pixels that training has of it.

    Arrays hold integers from 0 to 255, or uint16, or floats; a fourth channel is opacity. whites: what is white in
    uint16, in floats and in grey files of more than 8 bits (see `ranges`); where it does not say, 65,535 and 1. Raises
    HeadstartError for other shapes and values, and DecodeError for files that give no image.
    """
    if isinstance(picture, str | PathLike):
        try:
            return read_image(Path(picture), whites).image
        except DecodeError as error:
            raise DecodeError(f"{shown(str(picture))}: {error}") from None
    if isinstance(picture, Image.Image):
        try:
            picture.load()
        except Exception as error:  # its file is read only now, and damaged bytes make Pillow raise almost anything
            raise DecodeError(f"damaged: {' '.join(str(error).split())}") from None
        return upright_rgb(picture, whites).image
    pixels = _eight_bits(np.asarray(picture), whites)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise HeadstartError(f"an image is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); got {np.shape(picture)}")
    return upright_rgb(Image.fromarray(pixels), whites).image


def pictures_in(images: Picture | Iterable[Picture]) -> Iterator[Picture]:
    """Each of several images; one alone counts as one, and an array of four axes, (N, H, W), or names (N,), as N."""
    if isinstance(images, str | PathLike | Image.Image) or (
        isinstance(images, np.ndarray)
        and (images.ndim in (0, 2) or (images.ndim == 3 and images.shape[2] in (1, 3, 4)))
    ):
        yield images
    elif not hasattr(images, "__iter__") and not hasattr(images, "__getitem__"):  # a Subset's images have the latter
        raise HeadstartError(f"images: {images!r} is neither a file, a Pillow image or an array, nor several of them")
    else:
        yield from images


def as_seen(image: Image.Image, sides: Sequence[int], fit: str) -> np.ndarray:
    """An image in mode RGB as a network was given it in training, (S, S, 3) uint8: fitted into squares of these sides
    in turn.

    fit: how, see `decode.fitted`.
    """
    first, *others = sides
    square = fitted(image, first, fit)
    for side in others:
        square = fitted(square, side, fit)
    return square


def _eight_bits(values: np.ndarray, whites: Whites) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype.kind not in "uif":
        raise HeadstartError(f"{PIXELS}; got {values.dtype}")
    if not values.size:
        return values.astype(np.uint8)
    kind = kind_of(values)
    white = whites.get(kind, OF_TYPES[kind]) if kind == FLOATS or values.dtype == np.uint16 else 255
    try:
        return eight_bits(values, white)
    except RangeError:
        low, high = values.min(), values.max()
        about = f"{values.dtype} from {low:g} to {high:g}"
        raise HeadstartError(f"{PIXELS}; got {about}, where {white:,g} is white") from None
