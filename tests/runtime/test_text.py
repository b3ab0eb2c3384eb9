from __future__ import annotations

import pytest

from headstart.runtime.text import in_a_line, shorten

ASTRONAUT = "\N{WOMAN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\N{ZERO WIDTH JOINER}\N{ROCKET}"


@pytest.mark.parametrize(
    ("name", "length", "shown"),
    [
        ("abcdefgh", 5, "ab…gh"),
        ("鹿鹿鹿", 6, "鹿鹿鹿"),  # two columns each
        ("一二三四五六", 9, "一二…五六"),
        (f"{ASTRONAUT}bcdefgh", 5, f"{ASTRONAUT}…gh"),  # one sign, two columns
        ("cafe\N{COMBINING ACUTE ACCENT}teria", 6, "caf…ia"),
        ("abcdefe\N{COMBINING ACUTE ACCENT}", 4, "ab…e\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_a_name_is_cut_by_columns_and_no_sign_in_two(name: str, length: int, shown: str):
    assert shorten(name, length) == shown


def test_a_name_from_right_to_left_turns_nothing_round_in_a_line():
    assert in_a_line("cat") == "cat"
    assert in_a_line("鹿") == "鹿"
    mark = "\N{LEFT-TO-RIGHT MARK}"
    assert in_a_line("כלב (5)") == f"{mark}כלב (5){mark}"
