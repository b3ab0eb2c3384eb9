"""From an image file to pixels. Everything that reads a user's images does it by `read_image`."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from headstart.errors import HeadstartError
from headstart.options import CROP, LETTERBOX, STRETCH

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 100_000_000  # of one image: beyond it a file of a few bytes could take all memory
MAX_FILE_BYTES = 1_000_000_000  # of one file: MAX_PIXELS of 16 bits a channel take 600 MB uncompressed
SIGNATURE = 64  # bytes that a file is told by
TOO_LARGE = "it does not fit into memory"
BACKGROUND = (255, 255, 255)  # white: what shows through transparent pixels, as on a page
PADDING = (124, 116, 104)  # beside a picture that is no square: the mean colour of ImageNet's photographs

# What the bytes of files begin with that are often found among images, or under an image's name.
OTHERS = {
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML or SVG file",
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"%pdf": "a PDF document",
    b"pk\x03\x04": "a ZIP archive",
    b"8bps": "a Photoshop file",
    b"\x00\x00\x01\x00": "a Windows icon",
    b"\x00\x05\x16\x07": "a macOS resource fork",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with `git lfs pull`",
}
HEIF_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF", b"avis": "AVIF"}


class DecodeError(HeadstartError):
    """A file, or these bytes, give no image; the message says why in one line, and names no file."""


@dataclass(frozen=True)
class Decoded:
    """pixels: (H, W, 3) uint8, upright. format: one of FORMATS. notices: what was done to get there, in words."""

    pixels: np.ndarray
    format: str
    notices: tuple[str, ...]


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode a whole image file: its first frame, upright as its EXIF orientation says, in 8-bit RGB.

    The format is told by content. Transparent pixels show BACKGROUND; 16 bits are scaled to 8; greyscale, palettes and
    CMYK are converted. Raises DecodeError, and nothing else, for whatever does not decode to its last byte, is in
    another format, has more than `max_pixels`, or values whose range is not known (32-bit integers, floats).
    """
    with _as_decode_errors(data[:SIGNATURE], max_pixels):
        return _decode(data, max_pixels)


def read_image(path: Path) -> Decoded:
    """Decode an image file, as `decode` does its bytes.

    They are all read only where its header is that of an image: of a film or a disk image the first few are. Raises
    DecodeError, and nothing else, for what `decode` refuses, for more than MAX_FILE_BYTES, and for whatever is no file
    or cannot be read.
    """
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise DecodeError("not a file" if path.exists() else "no such file")
        with path.open("rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > MAX_FILE_BYTES:
                raise DecodeError(f"a file of {size / 1e9:.1f} GB: no more than {MAX_FILE_BYTES / 1e9:.0f} GB is read")
            start = file.read(SIGNATURE)
            with _as_decode_errors(start, MAX_PIXELS), Image.open(file, formats=FORMATS) as image:
                _refuse_size(image, MAX_PIXELS)
            file.seek(0)
            data = file.read()
    except (OSError, ValueError) as error:
        raise DecodeError(f"cannot be opened: {_reason(error)}") from None
    except MemoryError:
        raise DecodeError(TOO_LARGE) from None
    return decode(data)


def fitted(pixels: np.ndarray, side: int, fit: str) -> np.ndarray:
    """A picture (H, W, 3) uint8 in a square (side, side, 3), resized by Pillow's bicubic kernel.

    fit: "stretch": all of it, each side brought to `side`. "crop": of its long side only the middle is kept, as much as
    the short side has. "letterbox": all of it in its own shape, PADDING beside it. A square is the same by all three.
    """
    if fit == CROP:
        pixels = _middle(pixels)
    height, width = pixels.shape[:2]
    rows, columns = inside(height, width, side, fit)
    pixels = _resized(pixels, rows.stop - rows.start, columns.stop - columns.start)
    if pixels.shape[:2] == (side, side):
        return pixels
    square = np.full((side, side, 3), PADDING, np.uint8)
    square[rows, columns] = pixels
    return square


def inside(height: int, width: int, side: int, fit: str) -> tuple[slice, slice]:
    """The rows and columns of a square of `side` pixels that `fitted` gives to a picture of so many pixels: all of
    them, but for what a letterbox has beside it."""
    if fit != LETTERBOX:
        return slice(0, side), slice(0, side)
    scale = side / max(height, width)
    new_height, new_width = (max(1, round(scale * length)) for length in (height, width))
    top, left = (side - new_height) // 2, (side - new_width) // 2
    return slice(top, top + new_height), slice(left, left + new_width)


def unfitted(square: np.ndarray, height: int, width: int, fit: str) -> np.ndarray:
    """What a square (S, S, 3) uint8 shows of a picture of so many pixels, in its own shape: (h, w, 3), S at most.

    For people to look at: without bars, and no longer stretched. What was cropped is gone.
    """
    shown = square[inside(height, width, len(square), fit)]
    if fit != STRETCH:
        return shown
    rows, columns = inside(height, width, len(square), LETTERBOX)
    return _resized(shown, rows.stop - rows.start, columns.stop - columns.start)


def own_side(height: int, width: int, fit: str) -> int:
    """Pixels a side of the square that a picture of so many pixels fills without being made larger or smaller."""
    return min(height, width) if fit == CROP else max(height, width)


def _middle(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels as an image file's header says, not turned upright; None where there is no telling."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:  # of some formats Pillow reads all to tell it
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except Exception:  # damaged headers make Pillow's readers raise almost anything
        return None


@contextmanager
def _as_decode_errors(start: bytes, max_pixels: int) -> Iterator[None]:
    """Turn all that Pillow raises into a DecodeError. start: the first bytes of what it is given."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of size, which `_refuse_size` looks at
            yield
    except DecodeError:
        raise
    except Image.UnidentifiedImageError:
        raise DecodeError(_what_else(start)) from None
    except Image.DecompressionBombError:
        raise DecodeError(f"more than {max_pixels:,} pixels") from None
    except MemoryError:
        raise DecodeError(TOO_LARGE) from None
    except Exception as error:  # damaged bytes make Pillow's readers raise almost anything
        raise DecodeError(f"damaged: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What an error says, in one line."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def _refuse_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DecodeError(f"{width:,} x {height:,} pixels, more than {max_pixels:,}")


def _decode(data: bytes, max_pixels: int) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_size(image, max_pixels)
        notices = []
        if (frames := getattr(image, "n_frames", 1)) > 1:
            notices.append(f"first of {frames} frames")
        image.load()
        rgb, how = upright_rgb(image)
        return Decoded(np.asarray(rgb), str(image.format), (*notices, *how))


def upright_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """An image as its EXIF orientation says, in mode RGB, and in words what that took; DecodeError where the range of
    its values is not known."""
    upright, turned = _upright(image)
    rgb, how = _rgb(upright)
    return rgb, (("turned upright",) if turned else ()) + how


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image as its EXIF orientation says; unreadable EXIF says nothing."""
    try:
        orientation = image.getexif().get(0x0112, 1)
        return ImageOps.exif_transpose(image), orientation in range(2, 9)
    except Exception:  # as above: its bytes may be anything
        return image, False


def _rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """In mode RGB, and what that took."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, ()
    if image.has_transparency_data:
        image = image.convert("RGBA")
        opaque = bool((np.asarray(image.getchannel("A")) == 255).all())
        below = Image.new("RGBA", image.size, BACKGROUND)
        return Image.alpha_composite(below, image).convert("RGB"), (() if opaque else ("transparent",))
    if image.mode.startswith("I;16"):
        eight = (np.asarray(image).astype(np.uint32) + 128) // 257
        return Image.fromarray(eight.astype(np.uint8)).convert("RGB"), ("16-bit", "grey")
    if image.mode in ("I", "F"):
        raise DecodeError(f"32-bit {'integers' if image.mode == 'I' else 'floats'}, whose range is not known")
    notice = {"L": "grey", "1": "grey", "CMYK": "CMYK"}.get(image.mode)
    return image.convert("RGB"), ((notice,) if notice else ())


def _what_else(start: bytes) -> str:
    """What a file with these first bytes is, where that is known, given that it is no image of FORMATS."""
    if not start:
        return "the file is empty"
    known = ", ".join(FORMATS)
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        return f"a picture in {HEIF_BRANDS[start[8:12]]}, which is not read: convert it to one of {known}"
    words = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, what in OTHERS.items():
        if words.startswith(signature):
            return f"{what}, no image"
    return f"no image in any of {known}"
