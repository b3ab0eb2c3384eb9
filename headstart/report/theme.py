"""The colours of figures, slides and page, light and dark: written once, so that a chart's ink is the page's."""

from __future__ import annotations

from collections.abc import Collection

from headstart.strategies import STRATEGIES

# A colour a strategy, told apart by readers with any colour vision (tests/report/test_theme.py measures it) and legible
# as text; markers say the same without colour.
PALETTE = ("#2468e6", "#8a3106", "#12855a", "#a62f93", "#8f6f10", "#561a94", "#5f676c", "#1c2d24")
PALETTE_ON_DARK = ("#3c97f5", "#e2700f", "#5ce3a0", "#f7c6ee", "#a8905a", "#c09ee5", "#8797a0", "#c5ea08")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")


def _strategy_variables(palette: Collection[str]) -> dict[str, str]:
    return {f"strategy-{place}": colour for place, colour in enumerate(palette)}


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
    "heat": "55%",  # the most of a strategy's colour below a number: ink stays legible on it
    **_strategy_variables(PALETTE),
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
    **_strategy_variables(PALETTE_ON_DARK),
}
INK, MUTED, GRID, EDGE, FRONT, SLATE = (LIGHT[name] for name in ("ink", "muted", "grid", "edge", "front", "slate"))
VARIABLE = {colour: f"var(--{name})" for name, colour in LIGHT.items()}  # a light colour -> what follows light and dark


def place(strategy: str, others: Collection[str]) -> int:
    """The strategy's place in palette and markers: its row in the table of strategies, so that it looks the same in
    every report, whatever ran beside it; what the table does not know comes after."""
    known = [*STRATEGIES, *(name for name in others if name not in STRATEGIES)]
    return known.index(strategy) % len(PALETTE)
