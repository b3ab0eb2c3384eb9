"""Small real image files, good and bad, that several tests lay out in folders."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A smooth picture that is like no other of another seed: coarse noise, enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def plant(root: Path, classes: dict[str, int], format: str = "PNG", first_seed: int = 0) -> Path:
    """Write so many different pictures of each class: root/<class>/<number>.png."""
    seed = first_seed
    for name, count in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / name / f"{number}.{format.lower()}").write_bytes(encoded(picture(seed), format))
            seed += 1
    return root


def bomb() -> bytes:
    """A PNG of a few bytes that promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
