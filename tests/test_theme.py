from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from headstart import theme
from headstart.strategies import STRATEGIES

# How linear RGB looks to readers who lack one kind of cone: Machado, Oliveira, Fernandes 2009, severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]


def linear(colour: str) -> np.ndarray:
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB, under daylight: a distance of 2 is just seen."""
    x, y, z = np.cbrt(np.array(XYZ) @ np.clip(rgb, 0.001, 1) / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a: str, b: str) -> float:
    dark, light = sorted(float(linear(colour) @ XYZ[1]) for colour in (a, b))
    return (light + 0.05) / (dark + 0.05)


def mixed(colour: str, share: str, below: str) -> str:
    part = float(share.rstrip("%")) / 100
    channels = part * np.array(to_rgb(colour)) + (1 - part) * np.array(to_rgb(below))
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("eyes", EYES)
def test_any_eye_tells_any_two_strategies_apart(colours: dict[str, str], eyes: str):
    seen = [lab(np.array(EYES[eyes]) @ linear(colours[f"candidate-{name}"])) for name in theme.PALETTE]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 14


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_is_legible_on_all_that_lies_below_it(colours: dict[str, str]):
    for below in ("page", "card", "tint", "shade"):
        for text in ("ink", "muted", "accent"):
            assert contrast(colours[text], colours[below]) >= 4.5, (text, below)
    for name in theme.PALETTE:
        colour = colours[f"candidate-{name}"]
        assert contrast(colour, colours["card"]) >= 4.5
        assert contrast(colours["ink"], mixed(colour, colours["heat"], colours["card"])) >= 4.5


def test_light_and_dark_have_the_same_names_and_a_light_colour_has_one_name():
    assert theme.LIGHT.keys() == theme.DARK.keys()
    assert len(theme.VARIABLE) == len(theme.LIGHT)
    assert len(theme.MARKERS) == len(theme.PALETTE)


def test_a_strategy_looks_as_its_row_says():
    for name, strategy in STRATEGIES.items():
        assert theme.looks(["frozen@net", name])[name] == theme.looks([name])[name]
        assert theme.looks([name])[name] == (strategy.colour, strategy.marker)
        assert strategy.colour in theme.PALETTE
        assert strategy.marker in theme.MARKERS


def test_a_new_row_changes_the_look_of_no_other(monkeypatch):
    before = theme.looks(STRATEGIES)
    first = next(iter(STRATEGIES.values()))
    with_another = {"another": replace(first, name="another", colour="pine", marker="h"), **STRATEGIES}
    monkeypatch.setattr(theme, "STRATEGIES", with_another)
    assert theme.looks([*before, "another"]) == before | {"another": ("pine", "h")}


def test_the_first_backbone_of_a_strategy_looks_like_the_strategy():
    looks = theme.looks(["frozen@a", "frozen@b", "last20@a"])
    assert looks["frozen@a"] == theme.looks(["frozen"])["frozen"]
    assert looks["last20@a"][0] != looks["frozen@b"][0]


@pytest.mark.parametrize("names", [[f"frozen@{n}" for n in range(30)], [f"candidate {n}" for n in range(64)]])
def test_no_two_candidates_look_alike_and_the_first_ones_have_no_colour_in_common(names):
    looks = theme.looks(["base-cnn", *names[:-1]])
    assert len(set(looks.values())) == len(looks)
    colours = [colour for colour, _ in list(looks.values())[: len(theme.PALETTE)]]
    assert len(set(colours)) == len(theme.PALETTE)
    assert all(colour in theme.PALETTE and marker in theme.MARKERS for colour, marker in looks.values())
    assert looks == theme.looks(list(looks))


def test_of_more_candidates_than_there_are_looks_all_have_one():
    assert len(theme.looks(f"other{number}" for number in range(100))) == 100
