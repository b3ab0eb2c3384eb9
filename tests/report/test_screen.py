from __future__ import annotations

from collections.abc import Callable

import pytest

from headstart.report import percent
from headstart.report.screen import print_comparison


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_what_the_old_head_still_says_is_a_line_for_all_that_start_pre_trained(
    make_comparison: Callable, capsys: pytest.CaptureFixture[str]
):
    comparison, _ = make_comparison(("base-cnn", "frozen", "last20"))
    print_comparison(comparison)
    agreement = percent(comparison.forgetting["last20"]["agreement"], 0)
    wanted = f"still says the same as before training: frozen {percent(1, 0)}, last20 {agreement}."
    assert " ".join(wanted.split()) in printed(capsys)


def test_where_nothing_was_pre_trained_there_is_no_such_line(
    make_comparison: Callable, capsys: pytest.CaptureFixture[str]
):
    comparison, _ = make_comparison(("base-cnn",))
    print_comparison(comparison)
    assert "old head" not in printed(capsys)
