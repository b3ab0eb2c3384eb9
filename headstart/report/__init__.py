"""What a person looks at, and the one place that says how its numbers are written.

Nothing here imports a model: pages and pictures are made from a Comparison, its run folders and the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

NBSP = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
NOT_MEASURED = "\N{EN DASH}"


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.9412 -> '94.12 %'."""
    return _or_dash(fraction, lambda value: f"{100 * value:.{digits}f}{NBSP}%")


def decimal(value: float) -> str:
    """0.15342 -> '0.153'."""
    return _or_dash(value, lambda value: f"{value:.3f}")


def count(value: float) -> str:
    """10000 -> '10,000'; a mean over seeds keeps one decimal: 12.5 -> '12.5'."""
    return _or_dash(value, lambda value: f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}")


def whole(value: float) -> str:
    """5747.2 -> '5,747': where a fraction of one says nothing."""
    return _or_dash(value, lambda value: f"{value:,.0f}")


def short_count(value: float) -> str:
    """4012345 -> '4.01 M', to three figures."""
    return _or_dash(value, _short_count)


def megabytes(value: float) -> str:
    """16.21 -> '16.2 MB'."""
    return _or_dash(value, lambda value: f"{value:,.1f}{NBSP}MB" if value < 100 else f"{value:,.0f}{NBSP}MB")


def milliseconds(value: float) -> str:
    """7.312 -> '7.3 ms'."""
    return _or_dash(value, lambda value: f"{value:.2f}{NBSP}ms" if value < 1 else f"{value:,.1f}{NBSP}ms")


def duration(seconds: float) -> str:
    """0.42 -> '0.4 s', 310 -> '5 min 10 s', 4980 -> '1 h 23 min'."""
    return _or_dash(seconds, _duration)


WRITERS: dict[str, Callable[[float], str]] = {  # `Score.written` -> how
    write.__name__: write for write in (percent, decimal, count, whole, short_count, megabytes, milliseconds, duration)
}


def _or_dash(value: float | None, write: Callable[[float], str]) -> str:
    """What was not measured is a dash, never 'nan' and never a crash."""
    return NOT_MEASURED if value is None or not math.isfinite(value) else write(value)


def _short_count(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # 999,950 is 1.00 M, not 1000 k
            scaled = value / size
            return f"{scaled:.{max(0, 2 - int(math.log10(max(scaled, 1))))}f}{NBSP}{unit}"
    return f"{value:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f}{NBSP}s" if seconds else f"0{NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return _two_units(whole, "min", "s")
    return _two_units(round(seconds / 60), "h", "min")


def _two_units(amount: int, large: str, small: str) -> str:
    """Sixty of the small unit make a large one; a rest of zero is left out."""
    whole, rest = divmod(amount, 60)
    return f"{whole}{NBSP}{large}" + (f"{NBSP}{rest}{NBSP}{small}" if rest else "")
