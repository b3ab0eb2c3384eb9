"""A learning curve as a figure, a table and sentences: what more images bring, and where from scratch catches up."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from headstart.evaluation.learning_curve import Crossing, LearningCurve
from headstart.evaluation.statistics import accuracy_interval
from headstart.report import count, percent
from headstart.report.drawing import (
    MUTED,
    WIDTH,
    Point,
    colours,
    label_points,
    markers,
    png,
    styled,
    write_legend,
    write_title,
)
from headstart.report.figures import DASHES
from headstart.report.screen import WIDTH_OF_A_FILE, print_table
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.files import write_bytes
from headstart.results.learning_curve import Curve
from headstart.runtime.console import Screen

GOES_ON = "how it would go on, with its 95 % interval"
RING: dict[str, Any] = {"ls": "", "marker": "o", "ms": 12, "mfc": "none", "mec": MUTED, "mew": 1.4}


def print_curve(curve: Curve) -> None:
    """The result on standard output: accuracy by training images and candidate, and what that says."""
    table = []
    for size, comparison in curve.comparisons.items():
        rows = {str(name): row for name, row in comparison.table().iterrows()}
        table.append([f"{size:,}", *(_cell(rows.get(name)) for name in curve.candidates)])
    console = Screen(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, markup=False, highlight=False)
    title = f"{curve.largest.dataset['name']}: accuracy on {curve.test_images:,} test images"
    print_table(console, title, ["training images", *curve.candidates], table)
    for line in sentences(curve):
        console.print(line)
    console.print(f"Figure: {curve.folder / runs.CURVE_FIGURE}", soft_wrap=True)


def _cell(row: pd.Series | None) -> str:
    """The accuracy of a candidate's row, and what seeds spread; a dash where it has none."""
    if row is None:
        return "-"
    return f"{100 * row.accuracy:.2f} %" + (f" ± {100 * row.accuracy_std:.2f}" if row.runs > 1 else "")


def sentences(curve: Curve) -> list[str]:
    """Where each candidate from scratch catches up with each pre-trained one, and what one more point would take, or
    why that is not said."""
    return [
        *(_catching_up(scratch, other, found) for (scratch, other), found in curve.crossings.items()),
        *(_one_more_point(name, law) for name, law in curve.laws.items()),
        *([curve.no_law] if curve.no_law else []),
        *(f"{name} has no run with {max(curve.comparisons):,} images: it is left out." for name in curve.left_out),
    ]


def _catching_up(scratch: str, other: str, found: Crossing) -> str:
    if found.images is None:
        within = f"{found.smallest:,} to {found.largest:,} training images"
        return f"{scratch} does not catch up with {other} within this data, {within}."
    if found.from_the_start:
        return f"{scratch} is level with {other} or ahead of it from the smallest size on: {found.smallest:,} images."
    return f"{scratch} catches up with {other} at about {_about(found.images)} training images."


def _one_more_point(name: str, law: LearningCurve) -> str:
    more = law.more_images()
    low, high = (f"more than {more.beyond:,}" if bound is None else _about(bound) for bound in (more.low, more.high))
    if law.drop + law.floor <= 0.01:
        return f"{name}: less than one point is left to gain."
    if more.images is None:
        least = "" if more.low is None else f" (95 % interval from {low})"
        return (
            f"{name}: one more point would take more than {more.beyond:,} further images{least}; nothing is said "
            f"beyond {law.limit:,}."
        )
    return (
        f"{name}: one more point would take about {_about(more.images)} further images (95 % interval {low} to {high})."
    )


def _about(images: int) -> str:
    """To two figures: no more is known."""
    return f"{round(images, 1 - int(math.log10(max(images, 1)))):,}"


def write_figure(curve: Curve) -> Path:
    """Draw the learning curve into its folder; returns the path of the picture."""
    path = curve.folder / runs.CURVE_FIGURE
    write_bytes(path, png(learning_curve(curve)))
    renew_checksums(curve.folder, runs.CURVE_FIGURE)
    return path


@styled
def learning_curve(curve: Curve) -> Figure:
    """Accuracy against training images: each run a dot, means joined by lines, with intervals over the test images.

    Dashed, with a band: the power law beyond the largest size, as far as it is asked, and its 95 % interval; where
    there is none, the axis says why. A ring is where a candidate from scratch catches up with one that is pre-trained.
    """
    figure = Figure(figsize=(WIDTH, 5.4))
    axes = figure.subplots()
    axes.set_xscale("log")
    colour_of, marker_of = colours(curve.largest), markers(curve.largest)
    lines = [
        line for name in curve.candidates for line in _measured(axes, curve, name, colour_of[name], marker_of[name])
    ]
    lines += [line for name, law in curve.laws.items() for line in _extrapolated(axes, law, colour_of[name])]
    rings = _rings(axes, curve)
    axes.xaxis.set_major_locator(FixedLocator(_apart(list(curve.comparisons))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    along = ["training images (logarithmic); bars: 95 % intervals over the test images", curve.no_law]
    axes.set(xlabel="\n".join(filter(None, along)), ylabel="accuracy on test")
    handles = [
        *(Line2D([], [], color=colour_of[name], marker=marker_of[name], label=name) for name in curve.candidates),
        *([Line2D([], [], color=MUTED, ls=DASHES, label=GOES_ON)] if curve.laws else []),
        *([Line2D([], [], **RING, label="catches up")] if rings else []),
    ]
    write_legend(figure, [str(each.get_label()) for each in handles], handles)
    write_title(figure, _finding(curve))
    figure.draw_without_rendering()  # words are placed where the points have come to lie
    label_points(axes, rings, lines, dict.fromkeys(rings, MUTED))
    return figure


def _measured(axes: Axes, curve: Curve, name: str, colour: str, marker: str) -> list[tuple[Point, Point]]:
    """Draw what was measured of a candidate; returns the lines between its means."""
    means = curve.table()[name].dropna()
    intervals = [accuracy_interval(round(mean * curve.test_images), curve.test_images) for mean in means]
    bars = np.maximum(0, [(mean - each.low, each.high - mean) for mean, each in zip(means, intervals, strict=True)])
    axes.errorbar(means.index, means, bars.T, color=colour, lw=1.8, elinewidth=1, capsize=3)
    axes.plot(*curve.accuracies(name), ".", color=colour, alpha=0.5)
    axes.plot(means.index, means, marker, color=colour, ms=7, mec="white", mew=0.8)
    return list(itertools.pairwise(zip(means.index, means, strict=True)))


def _extrapolated(axes: Axes, law: LearningCurve, colour: str) -> list[tuple[Point, Point]]:
    """Draw how a candidate's power law goes on, as far as it is asked; returns the lines of its middle."""
    images = np.geomspace(law.largest, law.limit, 20).clip(max=law.limit)
    found = [law.accuracy(each) for each in images]
    value, low, high = np.transpose([(each.value, each.low, each.high) for each in found if each is not None])
    axes.plot(images, value, color=colour, ls=DASHES, lw=1.3)
    axes.fill_between(images, low, high, color=colour, alpha=0.12, lw=0)
    return list(itertools.pairwise(zip(images, value, strict=True)))


def _apart(sizes: list[int]) -> list[int]:
    """Those of the sizes, from the largest down, whose names do not run into each other on a logarithmic axis."""
    kept = [sizes[-1]]
    for size in sizes[-2::-1]:
        if math.log(kept[-1] / size) > 0.06 * math.log(3 * sizes[-1] / sizes[0]):
            kept.append(size)
    return kept


def _rings(axes: Axes, curve: Curve) -> dict[str, Point]:
    """Ring where a candidate from scratch catches up, where that is; returns what to write beside the rings."""
    rings: dict[str, Point] = {}
    for (_, other), found in curve.crossings.items():
        if found.images is None or found.from_the_start:
            continue
        means = curve.table()[other].dropna()
        point = found.images, float(np.interp(math.log(found.images), np.log(means.index), means))
        axes.plot(*point, **RING)
        rings[f"about {_about(found.images)}"] = point
    return rings


def _finding(curve: Curve) -> str:
    means = curve.table().iloc[-1]
    best = str(means.idxmax())
    reached = f"{best} reaches {percent(means[best])}"
    if not curve.crossings:
        return f"{reached} with {count(max(curve.comparisons))} training images"
    caught = [(found.images, *pair) for pair, found in curve.crossings.items() if found.images is not None]
    if not caught:
        return f"Nothing from scratch catches up with what is pre-trained; {reached}"
    images, scratch, other = min(caught)
    if images == min(curve.comparisons):
        return f"{scratch} is never behind {other}; {reached}"
    return f"{scratch} catches up with {other} at about {_about(images)} images; {reached}"
