"""Names as matplotlib can draw them: which letters it has, how wide they are, and where a long name may break.

Text that comes from outside (class names, names of data sets) is drawn through `drawable` alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from unicodedata import bidirectional, category, normalize

from matplotlib import font_manager, ft2font
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from headstart.runtime.text import in_a_line, shorten

# For what DejaVu Sans, which comes with matplotlib, cannot draw; used where installed.
FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Noto Sans JP",
    "Noto Sans",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai"),
    *("Noto Emoji", "Symbola"),
)
SETS_ANY_SCRIPT = hasattr(ft2font, "__libraqm_version__")  # matplotlib 3.11 and newer, by HarfBuzz and FriBidi
RIGHT_TO_LEFT = ("R", "AL", "AN")
AS_EMOJI = "\N{VARIATION SELECTOR-16}"  # asks for colour, which no figure has
JOINT = re.compile(r"(?<=[@_.])(?=\w)")  # where the name of a backbone may break


def drawable(text: str, otherwise: str, length: int = 26) -> str:
    """`text` as matplotlib can draw it: short, on one line, not read as mathematics; `otherwise` where it cannot.

    A row of empty boxes would name nothing, and letters in the wrong order or apart would name something else: so a
    class is drawn by its number where no font here has its script, or this matplotlib cannot set that.
    """
    line = " ".join(normalize("NFC", text).replace(AS_EMOJI, "").split())
    if not line or not all(map(_is_drawn, line)):
        return otherwise
    return in_a_line(shorten(line, length)).replace("$", r"\$")


def drawable_classes(class_names: Sequence[str], length: int = 26) -> list[str]:
    """Every class name as matplotlib can draw it."""
    return [drawable(name, f"class {index}", length) for index, name in enumerate(class_names)]


def numbered(class_names: Sequence[str]) -> int:
    """How many of the classes are drawn by their numbers."""
    return sum(not drawable(name, "") for name in class_names)


@cache
def families() -> list[str]:
    """The fonts to draw with, in the order in which a letter is looked for."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(family for family in FALLBACK_FONTS if family in installed)]


@cache
def _is_drawn(character: str) -> bool:
    """Whether a font here has it, and what it needs beside its glyph is done: an order from right to left, letters that
    join, marks that go on or around another letter."""
    is_simple = bidirectional(character) not in RIGHT_TO_LEFT and not category(character).startswith(("M", "Cf"))
    if not (is_simple or SETS_ANY_SCRIPT):
        return False
    paths = (font_manager.findfont(FontProperties(family=[family])) for family in families())
    return any(font_manager.get_font(path).get_char_index(ord(character)) for path in paths)


@cache
def measured(text: str, points: float, bold: bool = False) -> float:
    """How wide a line of text is, in inches."""
    letters = FontProperties(size=points, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(text, letters, ismath=False)[0] / 72


def broken(name: str, inches: float, points: float, bold: bool = False) -> str:
    """The name of a candidate in lines of at most `inches`, broken at its joints; wider only where it has none."""
    lines = [""]
    for piece in JOINT.split(name):
        if lines[-1] and measured(lines[-1] + piece, points, bold) > inches:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def fitting(text: str, inches: float, most: float, bold: bool = False) -> float:
    """The points in which a line of text is at most `inches` wide, and no more than `most`."""
    return min(most, inches / max(measured(text, 1, bold), 1e-9))
