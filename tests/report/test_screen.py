from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from small_runs import many

from headstart.report import percent
from headstart.report.screen import print_comparison, print_table
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.results.files import write_json
from headstart.runtime.console import Screen


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


def test_where_every_test_image_leaks_it_says_that_none_is_left(
    make_comparison: Callable, capsys: pytest.CaptureFixture[str]
):
    comparison, dataset = make_comparison(("base-cnn", "frozen"))
    images = len(dataset.test)
    for leaked, said in (
        (
            list(range(images)),
            f"All {images} test images have duplicates in train or val: none is left to score without",
        ),
        ([0, 5], "Without the 2 test images that have duplicates in train or val: base-cnn"),
        ([], None),
    ):
        write_json(comparison.folder / runs.AUDIT, {"findings": [], "leaked_test_images": leaked, "files": {}})
        print_comparison(compare_runs(comparison.folder))
        out = printed(capsys)
        assert said in out if said else "duplicates" not in out
        assert ("with a duplicate in train or val are left out" in out) == (leaked == [0, 5])


def test_a_share_of_images_has_its_interval_and_over_seeds_its_spread(
    make_comparison: Callable, capsys: pytest.CaptureFixture[str]
):
    comparison, _ = make_comparison(("frozen",), seeds=(0, 1))
    print_comparison(comparison)
    accuracy = comparison.summary["frozen"]["accuracy"]
    assert accuracy["std"] == pytest.approx(comparison.table().loc["frozen", "accuracy_std"])
    interval = f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}"
    wanted = f"{percent(accuracy['mean'])} ± {100 * accuracy['std']:.2f} {interval}"
    assert " ".join(wanted.split()) in printed(capsys)


def test_no_number_of_the_table_is_cut_off_in_a_file_whatever_the_candidates_are_called(
    make_comparison: Callable, capsys: pytest.CaptureFixture[str]
):
    comparison, _ = make_comparison(many(10), seeds=(0, 1))
    print_comparison(replace(comparison, dataset={**comparison.dataset, "name": "[b]x"}))
    out = capsys.readouterr().out
    assert all(name in out for name in many(10)) and "[b]x: 60 test images" in out
    assert "…" not in out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_too_wide_for_the_screen_goes_on_below_with_every_number(width: int):
    names = ["base-cnn", "last20 on efficientnet_lite0"]
    titles = ["strategy", *(f"score {number}" for number in range(9))]
    rows = [[name, *(f"{number}1.25 to 99.{place}" for number in range(9))] for place, name in enumerate(names)]
    text = io.StringIO()
    print_table(Screen(file=text, width=width, markup=False), "a title", titles, rows)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width and "…" not in text.getvalue()
    assert all(cell in text.getvalue() for row in rows for cell in row)
    assert text.getvalue().count("a title") == 1
    parts = sum(line.split()[:1] == ["strategy"] for line in lines)
    assert parts > 1 and all(text.getvalue().count(name) == parts for name in names)
