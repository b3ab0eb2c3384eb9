"""Fuzz `decode`: whatever the bytes, it gives an image or raises DecodeError, and nothing else.

    .venv/bin/pip install atheris
    .venv/bin/python fuzz/decode.py -max_total_time=600 /tmp/corpus fuzz/corpus

The corpus is made by `python fuzz/decode.py --make-corpus fuzz/corpus`: a small file of each format and kind. What the
fuzzer finds is kept in the first folder named; a crash is written as crash-<hash> and can be given as an argument.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["PIL", "headstart.data.decode"]):
    from PIL import Image

    from headstart.data.decode import DecodeError, decode

MAX_PIXELS = 250_000  # enough to reach every reader, few enough for thousands of tries a second


def one_input(data: bytes) -> None:
    """What the fuzzer calls."""
    try:
        decoded = decode(data, MAX_PIXELS)
    except DecodeError as error:
        assert "\n" not in str(error)
        return
    assert decoded.pixels.ndim == 3
    assert decoded.pixels.shape[2] == 3
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape[0] * decoded.pixels.shape[1] <= MAX_PIXELS


def make_corpus(folder: Path) -> None:
    """Write a small file of each format, mode and kind that `decode` has a branch for."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = Image.fromarray(np.add.outer(np.arange(8) * 20, np.arange(12) * 5).astype(np.uint8))
    colour = Image.merge("RGB", [grey, grey.rotate(180), grey])
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "jpeg": (colour, {"format": "JPEG"}),
        "jpeg-progressive": (colour, {"format": "JPEG", "progressive": True}),
        "jpeg-cmyk": (colour.convert("CMYK"), {"format": "JPEG"}),
        "jpeg-exif": (colour, {"format": "JPEG", "exif": exif}),
        "png": (colour, {"format": "PNG"}),
        "png-16": (Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), {"format": "PNG"}),
        "png-palette": (colour.convert("P"), {"format": "PNG", "transparency": 3}),
        "png-alpha": (colour.convert("RGBA"), {"format": "PNG"}),
        "png-grey-alpha": (grey.convert("LA"), {"format": "PNG"}),
        "png-bits": (grey.convert("1"), {"format": "PNG"}),
        "apng": (colour, {"format": "PNG", "save_all": True, "append_images": [grey.convert("RGB")]}),
        "gif": (colour, {"format": "GIF"}),
        "gif-animated": (colour, {"format": "GIF", "save_all": True, "append_images": [grey]}),
        "bmp": (colour, {"format": "BMP"}),
        "webp": (colour, {"format": "WEBP"}),
        "webp-lossless-alpha": (colour.convert("RGBA"), {"format": "WEBP", "lossless": True}),
        "tiff": (colour, {"format": "TIFF"}),
        "tiff-deflate": (colour, {"format": "TIFF", "compression": "tiff_deflate"}),
        "tiff-float": (Image.fromarray(np.asarray(grey).astype(np.float32)), {"format": "TIFF"}),
    }
    for name, (image, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, **options)
        (folder / name).write_bytes(buffer.getvalue())
    (folder / "html").write_bytes(b"<!DOCTYPE html><title>404</title>")
    (folder / "svg").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(16))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make-corpus"]:
        make_corpus(Path(sys.argv[2]))
    else:
        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()
