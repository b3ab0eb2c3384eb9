"""From an image file to pixels. Everything that reads a user's images does it by `read_image`."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pi_heif import register_heif_opener
from PIL import Image, ImageOps

from headstart.data.ranges import OF_TYPES, RangeError, Whites, eight_bits, kind_of, own_white
from headstart.errors import HeadstartError
from headstart.options import CROP, LETTERBOX, STRETCH

register_heif_opener()
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF")
MAX_PIXELS = 100_000_000  # of one image: beyond it a file of a few bytes could take all memory
MAX_FILE_BYTES = 1_000_000_000  # of one file: MAX_PIXELS of 16 bits a channel take 600 MB uncompressed
SIGNATURE = 132  # bytes that a file is told by: those of DICOM are the last of them
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
PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")  # what else begins like these is a video
UPPER_BITS = "16-bit colour by its upper 8 bits"
INVERTED = "0 is white"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
# Tags of TIFF.
PHOTOMETRIC, DEPTH, EXTRA = 262, 258, 338
WHITE_IS_ZERO, UNSPECIFIED = 0, 0
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # grey whose range no type says
READ_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")  # what Pillow makes RGB of, and opacity besides


class DecodeError(HeadstartError):
    """A file, or these bytes, give no image; the message says why in one line, and names no file."""


class PassingError(DecodeError):
    """The reason is this machine's, and not the file's: another time it may be read."""


@dataclass(frozen=True)
class Decoded:
    """image: in mode RGB, upright. format: one of FORMATS. notices: what was done to get there, in words.

    kind: of values that have a range of their own, one of `ranges.OF_TYPES`, and which one of them became white; of
    all others "" and 0.
    """

    image: Image.Image
    format: str
    notices: tuple[str, ...]
    kind: str = ""
    white: float = 0

    @cached_property
    def pixels(self) -> np.ndarray:
        """The same as (H, W, 3) uint8: a copy, which takes as long as a third of decoding, and more memory."""
        return np.asarray(self.image)


def decode(data: bytes, max_pixels: int = MAX_PIXELS, whites: Whites | None = None) -> Decoded:
    """Decode a whole image file: its first frame, upright as its EXIF orientation says, in 8-bit RGB.

    The format is told by content. Transparent pixels show BACKGROUND; greyscale, palettes and CMYK are converted. Grey
    of more than 8 bits, integers or floats, is scaled linearly, 0 to black and `whites` of its kind to white; without
    `whites` the image's own (`ranges.own_white`). Raises DecodeError, and nothing else, for whatever does not decode to
    its last byte, is in another format, has more than `max_pixels`, or values beyond that range.
    """
    with _as_decode_errors(data[:SIGNATURE], max_pixels):
        return _decode(data, max_pixels, whites)


def read_image(path: Path, whites: Whites | None = None) -> Decoded:
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
        raise PassingError(f"cannot be opened: {_reason(error)}") from None
    except MemoryError:
        raise PassingError(TOO_LARGE) from None
    return decode(data, whites=whites)


def fitted(picture: Image.Image | np.ndarray, side: int, fit: str) -> np.ndarray:
    """A picture, in mode RGB or (H, W, 3) uint8, in a square (side, side, 3), resized by Pillow's bicubic kernel.

    fit: "stretch": all of it, each side brought to `side`. "crop": of its long side only the middle is kept, as much as
    the short side has. "letterbox": all of it in its own shape, PADDING beside it. A square is the same by all three.
    """
    if isinstance(picture, np.ndarray):
        if picture.shape[:2] == (side, side):
            return picture
        picture = Image.fromarray(picture)
    if fit == CROP:
        picture = _middle(picture)
    rows, columns = inside(picture.height, picture.width, side, fit)
    pixels = _resized(picture, rows.stop - rows.start, columns.stop - columns.start)
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
    return _resized(Image.fromarray(shown), rows.stop - rows.start, columns.stop - columns.start)


def own_side(height: int, width: int, fit: str) -> int:
    """Pixels a side of the square that a picture of so many pixels fills without being made larger or smaller."""
    return min(height, width) if fit == CROP else max(height, width)


def _middle(image: Image.Image) -> Image.Image:
    side = min(image.size)
    top, left = (image.height - side) // 2, (image.width - side) // 2
    return image.crop((left, top, left + side, top + side))


def _resized(image: Image.Image, height: int, width: int) -> np.ndarray:
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


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
    except RangeError as error:
        raise DecodeError(str(error)) from None
    except Image.UnidentifiedImageError:
        raise DecodeError(_what_else(start)) from None
    except Image.DecompressionBombError:
        raise DecodeError(f"more than {max_pixels:,} pixels") from None
    except MemoryError:
        raise PassingError(TOO_LARGE) from None
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


def _decode(data: bytes, max_pixels: int, whites: Whites | None) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_size(image, max_pixels)
        format, notices = str(image.format), []
        if (frames := getattr(image, "n_frames", 1)) > 1:
            notices.append(f"first of {frames} frames")
        if format == "PNG" and data[24] == 16 and image.mode in ("RGB", "RGBA", "LA"):  # its depth
            notices.append(UPPER_BITS)
        image.load()
        decoded = upright_rgb(image, whites)
    return replace(decoded, format=format, notices=(*notices, *decoded.notices))


def upright_rgb(image: Image.Image, whites: Whites | None) -> Decoded:
    """A loaded image as its EXIF orientation says, as `decode` does a file's first frame; of no format.

    Raises DecodeError or RangeError for what `decode` refuses.
    """
    of_tiff = _look_at_tiff(image)
    upright, turned = _upright(image)
    notices = (*(("turned upright",) if turned else ()), *of_tiff)
    if upright.mode not in DEEP_MODES:
        rgb, how = _rgb(upright)
        return Decoded(rgb, "", (*notices, *how))
    values = np.asarray(upright)
    kind = kind_of(values)
    white = own_white(values) if whites is None else whites.get(kind, OF_TYPES[kind])
    grey = eight_bits(values, white)
    if INVERTED in of_tiff:  # Pillow turns it round only where there are 8 bits or fewer
        grey = 255 - grey
    bits = 16 if upright.mode.startswith("I;16") else 32
    notice = f"{bits}-bit {kind} from 0 to {white:,g}"
    return Decoded(Image.fromarray(grey).convert("RGB"), "", (*notices, notice, "grey"), kind, white)


def _look_at_tiff(image: Image.Image) -> tuple[str, ...]:
    """What Pillow does to a TIFF without a word, in words; DecodeError where it must not."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})  # of others than TIFF there are none
    unnamed = UNSPECIFIED in tags.get(EXTRA, ())
    if unnamed and image.mode == "L":
        raise DecodeError("two channels, of which it does not say what they show: save those to be seen as RGB or grey")
    found = []
    if unnamed:
        found.append("channels beyond RGB left out")
    if image.mode in ("RGB", "RGBA") and max(tags.get(DEPTH, (8,))) > 8:
        found.append(UPPER_BITS)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        found.append(INVERTED)
    return tuple(found)


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image as its EXIF orientation says; unreadable EXIF says nothing."""
    try:
        if image.getexif().get(0x0112, 1) not in range(2, 9):
            return image, False
        return ImageOps.exif_transpose(image), True
    except Exception:  # as above: its bytes may be anything
        return image, False


def _rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """In mode RGB, and what that took."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, ()
    if image.has_transparency_data:
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        opaque = bool((np.asarray(image.getchannel("A")) == 255).all())
        below = Image.new("RGBA", image.size, BACKGROUND)
        return Image.alpha_composite(below, image).convert("RGB"), (() if opaque else ("transparent",))
    if image.mode not in READ_MODES:
        raise DecodeError(f"colours in {image.mode}, which are not read: save it as RGB")
    notice = {"L": "grey", "1": "grey", "CMYK": "CMYK"}.get(image.mode)
    return image.convert("RGB"), ((notice,) if notice else ())


def _what_else(start: bytes) -> str:
    """What a file with these first bytes is, where that is known, given that it is no image of FORMATS."""
    if not start:
        return "the file is empty"
    known = ", ".join(FORMATS)
    if start[4:8] == b"ftyp":
        is_picture = start[8:12] in PICTURE_BRANDS
        return (
            "a HEIC or AVIF picture of a kind that is not read: save it as JPEG" if is_picture else "a video, no image"
        )
    if start[128:132] == b"DICM":
        return "a DICOM file, which is not read: export it as PNG or TIFF"
    if start.startswith(TIFF_SIGNATURES):
        return "a TIFF whose kind of pixels is not read: save it as 8-bit RGB, or as 8- or 16-bit grey"
    words = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, what in OTHERS.items():
        if words.startswith(signature):
            return f"{what}, no image"
    return f"no image in any of {known}"
