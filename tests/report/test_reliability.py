from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headstart.report.drawing import NARROW
from headstart.report.reliability import reliability_diagram


def test_each_strategy_has_a_line_before_and_after_calibration(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn", "last20"))
    figure = reliability_diagram(comparison)
    assert [axes.get_title("left") for axes in figure.axes] == ["as trained", "calibrated on val"]
    for axes in figure.axes:
        labels = [line.get_label() for line in axes.get_lines()]
        assert labels[1:] == ["base-cnn", "last20"]
        for line in axes.get_lines()[1:]:
            assert (np.asarray(line.get_xdata()) <= 1).all() and (np.asarray(line.get_ydata()) <= 1).all()
    assert "Calibration takes the error of" in figure.get_suptitle()


def test_every_seed_has_a_line(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",), seeds=(0, 1, 2))
    for axes in reliability_diagram(comparison).axes:
        assert len(axes.get_lines()) == 1 + 3  # the diagonal, too


def test_on_a_phone_the_panels_stand_one_below_the_other(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",))
    above, below = reliability_diagram(comparison, NARROW).axes
    assert above.get_position().y0 > below.get_position().y0
