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


def raw_tiff(values: np.ndarray, photometric: int = 1, extra: tuple[int, ...] = ()) -> bytes:
    """A little-endian TIFF of one strip, (H, W) or (H, W, C), of whatever type: what Pillow itself does not write.

    photometric: 0 where 0 is white, 1 where it is black, 2 for RGB, 8 for CIELab. extra: what further channels are.
    """
    height, width, *rest = values.shape
    channels, form = (rest or [1])[0], {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * values.itemsize] * channels),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [8]),  # the strip is the first that follows
        277: ("H", [channels]),
        278: ("I", [height]),
        279: ("I", [len(data)]),
        **({338: ("H", list(extra))} if extra else {}),
        339: ("H", [form] * channels),
    }
    entries, later, start = b"", b"", 8 + len(data)
    for tag, (kind, numbers) in tags.items():
        raw = struct.pack(f"<{len(numbers)}{kind}", *numbers)
        if len(raw) > 4:
            raw, later = struct.pack("<I", start + len(later)), later + raw
        entries += struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(numbers)) + raw.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", start + len(later)) + data + later + directory
