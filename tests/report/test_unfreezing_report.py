from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from layout import misplaced
from matplotlib.axes import Axes
from small_runs import SEVEN

from headstart.errors import HeadstartError
from headstart.report import drawing, figures
from headstart.report.drawing import colours

NAMES = ("frozen", "last20", "last50", "full")


def marked(axes: Axes, colour: str) -> list[tuple[float, float]]:
    """Where a strategy's marks and dots lie."""
    marks = [line for line in axes.lines if line.get_color() == colour and line.get_marker() not in ("None", "_", "|")]
    return [point for line in marks for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_accuracy_and_what_stays_are_drawn_over_the_share_retrained(make_comparison: Callable):
    comparison, _ = make_comparison(SEVEN, seeds=(0, 1))
    accuracy, kept = figures.unfreezing(comparison).axes
    means = comparison.table()["accuracy"]
    for name, share in zip(NAMES, (0, 0.2, 0.5, 1), strict=True):
        colour, forgotten = colours(comparison)[name], comparison.forgetting[name]
        seeds = [row["accuracy"] for row in comparison.rows if row["candidate"] == name]
        for axes, values in ((accuracy, [*seeds, means[name]]), (kept, [forgotten["agreement"], forgotten["cka"]])):
            found = marked(axes, colour)
            assert {round(x, 9) for x, _ in found} == {share}
            assert set(values) <= {y for _, y in found}
    assert [label.get_text().split()[-1] for label in accuracy.get_xticklabels()] == list(NAMES)


def test_candidates_of_one_share_have_their_names_at_one_tick(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen", "last20", "frozen@b0"))
    for axes in figures.unfreezing(comparison).axes:
        assert [label.get_text().split("\n")[1:] for label in axes.get_xticklabels()] == [
            *(["frozen", "frozen@b0"], ["last20"]),
        ]


def test_what_starts_from_scratch_is_a_line_across_with_its_name(make_comparison: Callable):
    comparison, _ = make_comparison(SEVEN)
    accuracy, _ = figures.unfreezing(comparison).axes
    across = {line.get_ydata()[0] for line in accuracy.lines if line.get_linestyle() == "--"}
    assert across == {comparison.table()["accuracy"][name] for name in ("base-cnn", "deep-cnn", "random-init")}
    assert {text.get_text() for text in accuracy.texts} == {"base-cnn", "deep-cnn", "random-init"}


def test_where_nothing_is_pre_trained_there_is_no_curve_and_one_line_says_so(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn",))
    with pytest.raises(HeadstartError, match="no strategy of this comparison starts pre-trained"):
        figures.unfreezing(comparison)


def test_runs_without_forgetting_have_the_curve_of_accuracy_alone(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen", "last20"))
    figure = figures.unfreezing(replace(comparison, forgetting={}))
    assert len(figure.axes) == 1
    assert "old head" not in figure.get_suptitle()


@pytest.mark.parametrize("width", [drawing.WIDTH, drawing.NARROW])
def test_no_text_leaves_it_nor_meets_another(make_comparison: Callable, width: float):
    comparison, _ = make_comparison(SEVEN, seeds=(0, 1))
    figure = figures.unfreezing(comparison, width)
    figure.suptitle("")
    assert misplaced(figure) == []
