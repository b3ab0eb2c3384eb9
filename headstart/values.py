"""Readers of values: from what was typed, or given in Python, to what is meant; ValueError with what it must be."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.plan import Plan
from headstart.runtime.text import shorten
from headstart.strategies import STRATEGIES, strategy_name

SMALLEST_IMAGE = 32  # pixels a side: a backbone halves them five times
LARGEST_SEED = 2**32 - 1
FOLDS = ("auto", "none")  # beside a number of them
LONGEST = 100  # letters of a value that a message tells
ALL = "all"  # training images
NO_LIMIT = "none"  # of time

Read = Callable[[Any], Any]
"""From what was typed, or given in Python, to the value; ValueError with what it must be."""


def whole_number(value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number."""
    text = str(value)
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        raise ValueError(f"is not a whole number of {least} or more" + (f", and {most} at most" if most else ""))
    return int(text)


def image_size(value: Any) -> int:
    """Pixels a side."""
    return whole_number(value, SMALLEST_IMAGE)


def seed(value: Any) -> int:
    """What random generators start from."""
    return whole_number(value, 0, LARGEST_SEED)


def seeds(value: Any) -> tuple[int, ...]:
    """One seed or several different ones, in the order they are to run."""
    values = value if isinstance(value, list | tuple | range) else [value]
    found = tuple(seed(each) for each in values)
    if not found or len(set(found)) < len(found):
        raise ValueError("is not one or more different seeds")
    return found


def several_seeds(values: list[str]) -> tuple[int, ...]:
    """What follows --seeds: how many there are to be, or each of several."""
    return tuple(range(whole_number(values[0]))) if len(values) == 1 else seeds(values)


def share(value: Any) -> float:
    """A fraction of 1, also as "5%"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e-\d+)?)(%?)", str(value))
    found = float(match[1]) / (100 if match[2] else 1) if match else 2.0
    if found > 1:
        raise ValueError("is not a share such as 1% or 0.01")
    return found


def points(value: Any) -> float:
    """Points of accuracy: hundredths."""
    if not re.fullmatch(r"\d+(\.\d+)?", str(value)):
        raise ValueError("is not a number of points such as 0.5")
    return float(value)


def duration(value: Any) -> float:
    """Seconds, also as "90s", "10m" or "1h30m"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", str(value))
        units = (3600, 60, 1)
        parts = zip(match.groups(), units, strict=True) if match else ()
        found = float(sum(int(n or 0) * unit for n, unit in parts))
    if not 0 < found < float("inf"):
        raise ValueError("is not a time such as 90s, 10m or 1h30m")
    return found


def time_limit(value: Any) -> float | str:
    """Seconds, as `duration` reads them, or NO_LIMIT."""
    if value == NO_LIMIT:
        return NO_LIMIT
    try:
        return duration(value)
    except ValueError:
        raise ValueError("is neither a time such as 90s, 10m or 1h30m, nor none") from None


def days(value: Any) -> float:
    """Seconds, from "30d" or as `duration` reads them."""
    if match := re.fullmatch(r"(\d+)d", str(value)):
        return 86_400.0 * int(match[1])
    try:
        return duration(value)
    except ValueError:
        raise ValueError("is not a time such as 30d, 12h or 10m") from None


def path(value: Any) -> Path:
    """A file or folder; "~" is the home folder, as a shell would have it."""
    if not isinstance(value, str | os.PathLike) or "\0" in os.fspath(value):
        raise ValueError("is not a path, as text or pathlib.Path")
    try:
        return Path(value).expanduser()
    except RuntimeError:  # of a user who is not known
        return Path(value)


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("is neither True nor False")
    return value


def one_of(choices: tuple[str, ...]) -> Read:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}{near(str(value), choices)}")
        return value

    return read


def names(value: Any) -> tuple[str, ...]:
    """One name or several."""
    if not isinstance(value, str | Iterable):
        raise ValueError("is neither a name nor several")
    found = (value,) if isinstance(value, str) else tuple(value)
    return tuple(dict.fromkeys(text(each) for each in found))


def several(value: Any) -> tuple[str, ...]:
    """One name or several, also the same twice, which is for who looks them up to say."""
    found = (value,) if isinstance(value, str) else tuple(value)
    if not found:
        raise ValueError("is no name")
    return tuple(map(text, found))


def sizes(value: Any) -> tuple[int | str, ...]:
    """Several numbers of training images, or ALL."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError("is not several numbers of images")
    return tuple(ALL if each == ALL else whole_number(each) for each in value)


def plans(value: Any) -> tuple[str, ...]:
    """What is planned for one strategy or several, as text."""
    found = [Plan.of(text) for text in names(value)]
    if unknown := [each.candidate for each in found if strategy_name(each.candidate) not in STRATEGIES]:
        raise ValueError(f"is for an unknown strategy {unknown[0]!r}{nearest(unknown[0], STRATEGIES)}")
    if len({(each.candidate, each.seed) for each in found}) < len(found):
        raise ValueError("plans a strategy twice")
    return tuple(map(str, found))


def folds(value: Any) -> str:
    """How images are split where nobody did: "auto", "none", "5", "3x5"."""
    found = str(value)
    if found not in FOLDS and not re.fullmatch(r"([1-9]\d?x)?([2-9]|[1-9]\d)", found):
        raise ValueError("is none of auto, none, a number of folds such as 5, or 3x5: three times five")
    return found


def given(name: str, value: Any, read: Read) -> Any:
    """An argument as `read` reads it; HeadstartError, which names it, where it cannot be."""
    try:
        return read(value)
    except (ValueError, TypeError) as error:
        raise HeadstartError(f"{name}: {shorten(repr(value), LONGEST)} {error}") from None


def near(name: str, known: Iterable[str]) -> str:
    """What to say behind an unknown name: the near one; nothing where none is near."""
    close = get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """What to say behind an unknown name: the near one, and all."""
    return (near(name, known) or ":") + f" choose from {', '.join(known)}"
