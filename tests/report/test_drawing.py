from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from small_runs import HOSTILE

from headstart import theme
from headstart.report import drawing, lettering


@drawing.styled
def svg_of(*texts: str, colour: str = theme.INK) -> str:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "o", color=theme.PALETTE["green"][0])
    for text in texts:
        axes.text(0.5, 0.5, lettering.drawable(text, "class 7"), color=colour)
    return drawing.svg(figure, "chart", 'what "it" shows')


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_drawn_as_plain_text(name: str):
    figure = Figure()
    figure.text(0, 0.5, lettering.drawable(name, "class 7"))
    figure.draw_without_rendering()  # a name read as mathematics would raise, one without glyphs would warn


def test_a_name_without_glyphs_is_drawn_by_its_number():
    assert lettering.drawable_classes(["cat", "\U000f0000", ""]) == ["cat", "class 1", "class 2"]


@pytest.mark.parametrize("name", ["كلب", "שלום", "a\N{COMBINING CYRILLIC TITLO}"])
def test_a_script_that_matplotlib_cannot_set_is_drawn_by_its_number(name: str, monkeypatch: pytest.MonkeyPatch):
    lettering._is_drawn.cache_clear()
    monkeypatch.setattr(lettering, "SETS_ANY_SCRIPT", False)  # as before matplotlib 3.11
    assert lettering.drawable_classes(["cat", name]) == ["cat", "class 1"]
    assert lettering.numbered(["cat", name]) == 1
    lettering._is_drawn.cache_clear()


@pytest.mark.skipif(not lettering.SETS_ANY_SCRIPT, reason="this matplotlib sets no script from right to left")
def test_a_name_from_right_to_left_is_drawn_between_marks_that_keep_it_apart():
    mark = "\N{LEFT-TO-RIGHT MARK}"
    assert lettering.drawable("שלום", "class 7") == f"{mark}שלום{mark}"


def test_an_accent_of_its_own_becomes_one_letter_and_a_wish_for_colour_goes():
    assert lettering.drawable("cafe\N{COMBINING ACUTE ACCENT}", "class 7") == "café"
    assert (
        lettering.drawable("\N{BLACK SUN WITH RAYS}\N{VARIATION SELECTOR-16}", "class 7") == "\N{BLACK SUN WITH RAYS}"
    )


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert lettering.drawable("n02085620-Chihuahua-of-Mexico", "", length=15) == "n020856…-Mexico"


def test_a_strategy_has_a_colour_and_a_marker_of_its_own(make_comparison: Callable):
    comparison, _ = make_comparison(seeds=(0, 1))
    for looks in (drawing.colours(comparison), drawing.markers(comparison)):
        assert list(looks) == ["base-cnn", "deep-cnn", "frozen", "last20"]
        assert len(set(looks.values())) == 4


def test_the_colours_of_an_svg_follow_the_page():
    svg = svg_of("cat")
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()
    assert {"var(--ink)", "var(--card)", "var(--grid)", "var(--candidate-green)"} <= set(
        re.findall(r"var\([^)]*\)", svg)
    )


def test_an_svg_is_named_for_those_who_do_not_see_it_and_styles_nothing_else():
    root = ElementTree.fromstring(svg_of("cat"))
    assert (root.tag, root.get("role"), root.get("aria-label")) == ("svg", "img", 'what "it" shows')
    assert not {"style", "metadata", "script"} & {element.tag for element in root.iter()}


def test_the_ids_of_an_svg_are_its_own_and_each_is_found():
    svg = svg_of("cat")
    ids = set(re.findall(r' id="([^"]*)"', svg))
    asked = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg))
    assert all(name.startswith("chart-") for name in ids)
    assert {a or b for a, b in asked} <= ids
    assert asked


def test_text_of_an_svg_is_text_that_does_nothing():
    root = ElementTree.fromstring(svg_of("<img src=x onerror=alert(1)>", 'url(#m) id="x" #1d2125'))
    texts = [element.text for element in root.iter("text")]
    assert "<img src=x on…or=alert(1)>" in texts
    assert 'url(#m) id="x" #1d2125' in texts
    assert not list(root.iter("img"))
