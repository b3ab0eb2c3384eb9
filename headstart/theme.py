"""The colours of figures, slides and pages, light and dark: written once, so that a chart's ink is the page's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import product

from headstart.strategies import STRATEGIES, strategy_name

# A colour a candidate, told apart by readers with any colour vision (tests/test_theme.py measures it) and
# legible as text; markers say the same without colour. Name -> the colour on light, and on dark.
PALETTE = {
    "blue": ("#2468e6", "#3c97f5"),
    "rust": ("#8a3106", "#e2700f"),
    "green": ("#12855a", "#5ce3a0"),
    "magenta": ("#a62f93", "#f7c6ee"),
    "olive": ("#8f6f10", "#a8905a"),
    "violet": ("#561a94", "#c09ee5"),
    "grey": ("#5f676c", "#8797a0"),
    "pine": ("#1c2d24", "#c5ea08"),
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")


def _candidate_variables(place: int) -> dict[str, str]:
    return {f"candidate-{name}": colours[place] for name, colours in PALETTE.items()}


LIGHT = {
    "page": "#fbfaf8",
    "card": "#ffffff",
    "ink": "#1d2125",
    "muted": "#5a6169",
    "line": "#e3e1dc",
    "grid": "#e4e6e8",
    "edge": "#b8bdc2",
    "front": "#8d959c",
    "slate": "#4a6072",
    "accent": "#005a8d",
    "tint": "#eef4f8",
    "shade": "#f4f2ee",
    "heat": "55%",  # the most of a candidate's colour below a number: ink stays legible on it
    **_candidate_variables(0),
}
DARK = {
    "page": "#14171a",
    "card": "#1c2024",
    "ink": "#e8e6e1",
    "muted": "#a3aab1",
    "line": "#31373d",
    "grid": "#2c3238",
    "edge": "#4b535b",
    "front": "#7d868e",
    "slate": "#8ea6ba",
    "accent": "#7cc0ea",
    "tint": "#1b2b37",
    "shade": "#20252a",
    "heat": "38%",
    **_candidate_variables(1),
}
INK, MUTED, GRID, EDGE, FRONT, SLATE = (LIGHT[name] for name in ("ink", "muted", "grid", "edge", "front", "slate"))
VARIABLE = {colour: f"var(--{name})" for name, colour in LIGHT.items()}  # a light colour -> what follows both


def looks(candidates: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Candidate -> the name of its colour in PALETTE, and its marker: no two have both alike, and as long as there are
    colours, none has another's colour; beyond as many as there are pairs some look alike.

    A strategy's row says its own, and the first candidate of a strategy has them too. Who is left takes what is free,
    by the name alone where nobody else wants that: so it looks the same in every report of the same candidates.
    """
    names = list(dict.fromkeys(candidates))
    found: dict[str, tuple[str, str]] = {}
    for name in sorted(names, key=lambda name: name not in STRATEGIES):
        strategy = STRATEGIES.get(strategy_name(name))
        wish = (strategy.colour, strategy.marker) if strategy else _by_name(name)
        colours = {colour for colour, _ in found.values()}
        free = [wish, *((colour, marker) for marker, colour in product(MARKERS, PALETTE))]
        unlike = (pair for pair in free if pair[0] not in colours)
        found[name] = next(unlike, None) or next((pair for pair in free if pair not in found.values()), wish)
    return {name: found[name] for name in names}


def _by_name(name: str) -> tuple[str, str]:
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()
    return list(PALETTE)[digest[0] % len(PALETTE)], MARKERS[digest[1] % len(MARKERS)]
