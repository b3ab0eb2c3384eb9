from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.colors import same_color
from small_curves import GROWTH, write_curve

from headstart.report import drawing
from headstart.report.learning_curve import learning_curve, print_curve, sentences, write_figure
from headstart.results import runs
from headstart.results.learning_curve import read_curve

STEADY = {size: {"deep-cnn": 1 - 8 * size**-0.5, "last20": 1 - 2 * size**-0.5} for size in (300, 1000, 3000, 10_000)}


def test_where_from_scratch_catches_up_is_said_to_two_figures(tmp_path):
    assert "deep-cnn catches up with last20 at about 2,200 training images." in sentences(
        read_curve(write_curve(tmp_path))
    )


def test_what_does_not_catch_up_or_is_never_behind_is_said_too(tmp_path):
    behind = sentences(read_curve(write_curve(tmp_path / "behind", STEADY)))
    assert behind[0] == "deep-cnn does not catch up with last20 within this data, 300 to 10,000 training images."
    ahead = {size: {"deep-cnn": each["last20"], "last20": each["deep-cnn"]} for size, each in STEADY.items()}
    assert sentences(read_curve(write_curve(tmp_path / "ahead", ahead)))[0] == (
        "deep-cnn is level with last20 or ahead of it from the smallest size on: 300 images."
    )


def test_one_more_point_has_a_price_and_an_interval_and_none_far_beyond_the_data(tmp_path):
    said = sentences(read_curve(write_curve(tmp_path, STEADY)))
    assert said[1].startswith("deep-cnn: one more point would take about 3,100 further images (95 % interval ")
    assert said[2] == (
        "last20: one more point would take more than 20,000 further images (95 % interval from 3,300); nothing is said "
        "beyond 30,000."
    )


def test_where_no_point_is_left_no_images_are_asked_for(tmp_path):
    growth = {size: {"frozen": 0.999} for size in GROWTH}
    assert sentences(read_curve(write_curve(tmp_path, growth))) == ["frozen: less than one point is left to gain."]


def test_the_figure_has_a_dot_a_run_the_colours_of_the_report_and_a_ring(tmp_path):
    curve = read_curve(write_curve(tmp_path, seeds=(0, 1), spread=0.02))
    figure = learning_curve(curve)
    axes = figure.axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "."]
    colours = drawing.colours(curve.largest)
    assert [len(line.get_xdata()) for line in dots] == [8, 8]
    assert all(same_color(line.get_color(), colours[name]) for line, name in zip(dots, colours, strict=True))
    ring = next(line for line in axes.lines if line.get_markersize() == 12)
    assert ring.get_xdata() == [curve.crossings["deep-cnn", "last20"].images]
    assert [text.get_text() for text in axes.texts] == ["about 2,200"]
    assert axes.get_xscale() == "log"
    assert figure.get_suptitle().startswith("deep-cnn catches up with last20 at about 2,200 images")


def test_from_three_sizes_nothing_is_said_or_drawn_beyond_them(tmp_path):
    curve = read_curve(write_curve(tmp_path, {size: GROWTH[size] for size in (300, 1000, 3000)}))
    why = "Nothing is said beyond 3,000 training images: that takes 4 sizes, and 3 were measured."
    assert sentences(curve) == ["deep-cnn catches up with last20 at about 2,200 training images.", why]
    figure = learning_curve(curve)
    axes = figure.axes[0]
    assert max(max(line.get_xdata()) for line in axes.lines) == 3000
    assert axes.get_xlabel().endswith(why)
    assert "how it would go on" not in " ".join(text.get_text() for text in figure.legends[0].get_texts())


def test_nothing_is_drawn_beyond_three_times_the_largest_size(tmp_path):
    axes = learning_curve(read_curve(write_curve(tmp_path))).axes[0]
    assert max(max(line.get_xdata()) for line in axes.lines) == pytest.approx(3 * max(GROWTH))


def test_without_a_crossing_there_is_no_ring(tmp_path):
    figure = learning_curve(read_curve(write_curve(tmp_path, STEADY)))
    assert not figure.axes[0].texts
    assert (
        figure.get_suptitle() == "Nothing from scratch catches up with what is pre-trained; last20 reaches 98.00\xa0%"
    )


def test_sizes_that_lie_close_do_not_run_into_each_other(tmp_path):
    growth = {size: {"frozen": 0.5 + size / 10_000} for size in (100, 101, 1000, 3000, 3100)}
    figure = learning_curve(read_curve(write_curve(tmp_path, growth)))
    assert sorted(figure.axes[0].get_xticks()) == [101, 1000, 3100]
    assert figure.get_suptitle() == "frozen reaches 81.00\xa0% with 3,100 training images"


def test_what_is_printed_has_a_row_a_size_and_where_the_figure_lies(tmp_path, capsys):
    curve = read_curve(write_curve(tmp_path, seeds=(0, 1), spread=0.02))
    write_figure(curve)
    print_curve(curve)
    printed = capsys.readouterr().out
    assert "85.00 % ± 1.41" in next(line for line in printed.splitlines() if line.strip().startswith("3,000"))
    assert printed.splitlines()[-1] == f"Figure: {tmp_path / runs.CURVE_FIGURE}"
    assert (tmp_path / runs.CURVE_FIGURE).stat().st_size > 1000


def test_reading_and_drawing_a_curve_does_not_import_torch():
    code = "import sys, headstart.report.learning_curve; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
