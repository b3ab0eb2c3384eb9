"""Which value of a pixel is white where its type does not say: one answer for a whole set of images.

Grey of more than 8 bits is stored in 16 or 32, whatever a camera or scanner fills of them: its white is the least of
WHITES that holds the largest value. Of a set it is the largest that any of its images needs, so that equal brightness
stays equal; a run keeps it, and `predict` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from headstart.errors import HeadstartError

if TYPE_CHECKING:
    import pandas as pd

WHITES = (1, 255, 1023, 4095, 16383, 65535)  # shares and masks; 8, 10, 12, 14 and 16 bits
INTEGERS, FLOATS = "integers", "floats"  # the kinds of values that have a range of their own
Whites = Mapping[str, float]
"""INTEGERS or FLOATS -> the value that is white."""
OF_TYPES: dict[str, float] = {INTEGERS: 65535, FLOATS: 1}  # where no set says another


class RangeError(HeadstartError):
    """Values that no range holds; the message says which, in one line."""


def kind_of(values: np.ndarray) -> str:
    """INTEGERS or FLOATS, by the type of values."""
    return FLOATS if values.dtype.kind == "f" else INTEGERS


def own_white(values: np.ndarray) -> float:
    """The least of WHITES that holds all values (H, W); RangeError where none does."""
    low, high = _ends(values)
    white = next((white for white in WHITES if _holds(white, 0, high)), 0)
    if white and _holds(white, low, high):
        return white
    raise RangeError(f"{kind_of(values)} from {low:g} to {high:g}: black is 0, and white {WHITES[-1]:,} at most")


def eight_bits(values: np.ndarray, white: float) -> np.ndarray:
    """Values (H, W) from 0 to `white` as uint8; RangeError for others, but for what rounding hides."""
    low, high = _ends(values)
    if not _holds(white, low, high):
        raise RangeError(f"{kind_of(values)} from {low:g} to {high:g}, where 0 is black and {white:,g} white")
    return np.rint(values * np.float32(255 / white)).astype(np.uint8)


def whites_of(files: pd.DataFrame) -> Whites:
    """Of the files of a set, each with its `kind` and own `white`: the white of each kind that there is."""
    largest = files[files["kind"] != ""].groupby("kind")["white"].max()
    return {str(kind): float(white) for kind, white in largest.items()}


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _holds(white: float, low: float, high: float) -> bool:
    """Whether both ends are between black and white, rounded to 8 bits; what is no number never is."""
    return 255 * low / white >= -0.5 and 255 * high / white <= 255.5
