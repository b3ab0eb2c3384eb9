"""What was measured, as figures: every function here is pure and returns a matplotlib Figure.

Nothing touches pyplot: figures are objects, so that drawing one never changes another, nor a notebook around it.
Each title says what was found. `width` (inches) is that of a page or a slide, or `NARROW` for a phone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headstart.evaluation.scores import FIGURE, shown_in
from headstart.report import count, duration, percent, reading
from headstart.report.drawing import (
    WIDE,
    WIDTH,
    Point,
    are_long,
    colours,
    label_points,
    markers,
    marks,
    name_classes,
    panel_title,
    styled,
    time_axis,
    write_legend,
    write_title,
)
from headstart.report.lettering import broken, drawable_classes
from headstart.report.mixtures import mixtures as mixtures
from headstart.report.reading import CLASS_SCORES, candidates, means_of, mistakes, runs_of
from headstart.report.unfreezing import unfreezing as unfreezing  # so that all figures are found here
from headstart.results.comparison import Comparison
from headstart.theme import FRONT, INK, MUTED

MOST_CLASSES_COUNTED = 25  # more rows than that leave no room for a number
DASHES = (0, (3, 1.5))
MOST_BELOW = 5  # candidates whose curves stand below each other; of more, two stand side by side
MOST_ACCURATE = 1.03  # where an axis ends: 1, and room for half a mark
SHARE_TICKS = [0, 0.01, 0.05, 0.2, 0.5, 1]


@styled
def curves(comparison: Comparison, width: float = WIDTH, across: Sequence[str] = ()) -> Figure:
    """Loss and accuracy on train and val by epoch, every seed a line: a row a candidate or, of those named `across`, a
    column each."""
    names = across or candidates(comparison)
    beside = 2 if width > WIDE and len(names) > MOST_BELOW and not across else 1  # candidates in a row of panels
    rows, columns = (2, len(names)) if across else (math.ceil(len(names) / beside), 2 * beside)
    a_row = (1.75 if width > WIDE else 1.45) + (0.2 if are_long(names) else 0)
    figure = Figure(figsize=(width, 9 / 16 * width if across else a_row * rows + 1.1))
    grid = figure.subplots(rows, columns, squeeze=False)
    panels = grid.T if across else grid.reshape(-1, 2)
    for axes in panels[len(names) :].flat:
        axes.set_axis_off()
    roomy, room = columns == 2 and width > WIDE, (0.8 * width - 0.35) / columns  # inches of a title
    for name, (loss, accuracy) in zip(names, panels, strict=False):
        colour = colours(comparison)[name]
        for history in (run.history for run in runs_of(comparison, name)):
            _curve(loss, history, "loss", colour)
            _curve(accuracy, history, "accuracy", colour)
        accuracy.sharey(panels[0][1])
        accuracy.yaxis.set_major_formatter(lambda value, _: percent(value, 0))
        for axes, what in ((loss, "loss"), (accuracy, "accuracy")):
            panel_title(axes, name, what, room, 10.5 if roomy else 8.5, color=colour)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    handles = [
        Line2D([], [], color=INK, ls=DASHES, label="train"),
        Line2D([], [], color=INK, label="val"),
        Line2D([], [], color=INK, ls="", marker="o", mfc="white", mew=2, label="best epoch"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    write_title(figure, "How each strategy learned; the ring is its best epoch, where the loss on val is lowest")
    return figure


def _curve(axes: Axes, history: Any, what: str, colour: str) -> None:
    epochs, validation = history["epoch"], history[f"val_{what}"]
    lone = "." if len(epochs) == 1 else None  # a line through one point would be invisible
    axes.plot(epochs, history[f"train_{what}"], color=colour, ls=DASHES, lw=1.3, alpha=0.75, marker=lone)
    axes.plot(epochs, validation, color=colour, lw=1.8)
    if history["val_loss"].notna().any():
        best = history["val_loss"].idxmin()
        axes.plot(epochs[best], validation[best], "o", ms=7, mfc="white", mec=colour, mew=2, zorder=3)


@styled
def metrics(comparison: Comparison, width: float = WIDTH) -> Figure:
    """Accuracy, precision, recall and F1 by candidate: the mean as a mark with its number, each seed as a faint dot; no
    mark where a score was not measured."""
    means, scores = means_of(comparison), shown_in(FIGURE)
    columns = 4 if width > WIDE else 2
    rows = math.ceil(len(scores) / columns)
    points = 8.0 if are_long(means) else 10.0
    ticks = [broken(name, (0.24 if width > WIDE else 0.3) * width, points) for name in means]
    row = max(0.42, 1.4 * points / 72 * max(tick.count("\n") + 1 for tick in ticks))  # inches
    figure = Figure(figsize=(width, rows * (row * len(means) + 0.6) + 0.9))
    panels = figure.subplots(rows, min(columns, len(scores)), sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(scores) :]:
        axes.set_axis_off()
    drawn: list[float] = []
    for axes, score in zip(panels.flat, scores, strict=False):
        key = score.key
        for row, (name, colour) in enumerate(colours(comparison).items()):
            of_name = (entry[key] for entry in comparison.rows if entry["candidate"] == name)
            seeds, mean = [value for value in of_name if value is not None], means[name][key]
            if not seeds:
                continue
            drawn += seeds
            if len(seeds) > 1:
                axes.plot(seeds, [row] * len(seeds), ".", color=colour, alpha=0.45, ms=7)
            axes.plot(mean, row, markers(comparison)[name], color=colour, ms=8, mec="white", mew=0.8)
            axes.annotate(percent(mean), (mean, row), (0, 8), textcoords="offset points", ha="center", fontsize=8.5)
        axes.set_title(score.short)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(means)), ticks)
        axes.tick_params(axis="y", labelcolor=INK, labelsize=points)
        axes.set_ylim(len(means) - 0.5, -0.7)
    margin = max(0.3 * (max(drawn) - min(drawn)), 0.002)  # room for the numbers of the outermost marks
    panels[0, 0].set_xlim(min(drawn) - margin, max(drawn) + margin)
    figure.supxlabel("score on test; the axis does not start at zero", fontsize=9, color=MUTED)
    best = max(means, key=lambda name: means[name]["accuracy"])
    write_title(figure, f"{best} is right most often: {percent(means[best]['accuracy'])} of the test images")
    return figure


@styled
def class_scores(comparison: Comparison, width: float = WIDTH, height: float | None = None) -> Figure:
    """Precision, recall and F1 of each class, a mark a candidate (the mean of its seeds, each a faint dot); of very
    many classes, those hardest by F1."""
    seeds, names = reading.class_scores_of_passes(comparison), comparison.dataset["class_names"]
    scores = reading.class_scores(comparison)
    difficulty = scores[comparison.recommended]["f1"]
    shown = np.sort(np.argsort(difficulty, kind="stable")[:MOST_CLASSES_COUNTED])
    height = height or 0.29 * len(shown) + 1.4
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(1, len(CLASS_SCORES), sharex=True, sharey=True)
    for axes, (key, title) in zip(panels, CLASS_SCORES.items(), strict=True):
        values = {name: scores[name][key][shown] for name in scores}
        rows, extremes = np.arange(len(shown)), np.array(list(values.values()))
        of_seeds = {name: each[key][:, shown] for name, each in seeds.items() if len(each[key]) > 1}
        axes.hlines(rows, extremes.min(axis=0), extremes.max(axis=0), color=FRONT, lw=1, zorder=1)
        for name, colour in colours(comparison).items():
            look: dict[str, Any] = {"color": colour, "ms": 7, "mec": "white", "mew": 0.7, "label": name}
            for seed in of_seeds.get(name, ()):
                axes.plot(seed, rows, ".", color=colour, alpha=0.45, ms=5)
            axes.plot(values[name], rows, markers(comparison)[name], ls="", **look)
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(4 if width > WIDE else 2))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.margins(x=0.06)
    drawable = drawable_classes(names, 26 if width > WIDE else 14)
    name_classes(panels[0].yaxis, [drawable[index] for index in shown], height - 1.4)
    panels[0].set_ylim(len(shown) - 0.4, -0.6)
    drawn = candidates(comparison)
    write_legend(figure, drawn, marks(comparison, drawn, ms=7))
    hardest = int(difficulty.argmin())
    of_all = "" if len(shown) == len(names) else f"The {len(shown)} hardest of {len(names)} classes; "
    write_title(
        figure,
        f"{of_all}{drawable[hardest]} is hardest for {comparison.recommended}: F1 {percent(difficulty[hardest], 1)}",
    )
    return figure


def confusion(comparison: Comparison, candidate: str, most_inches: float = 8.5) -> Figure:
    """What a candidate took for what on test, counts summed over its seeds: see `confusion_of`."""
    matrix = reading.confusion_matrix(comparison, candidate)
    return confusion_of(matrix, comparison.dataset["class_names"], candidate, most_inches)


@styled
def confusion_of(matrix: np.ndarray, class_names: Sequence[str], candidate: str, most_inches: float = 8.5) -> Figure:
    """What a candidate took for what: counts (C, C), a row a true class, coloured by their share of the row."""
    classes = len(class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)  # a class without test images is an empty row
    few = classes <= MOST_CLASSES_COUNTED
    texts = np.array([[count(number) if number else "" for number in row] for row in matrix])
    side = float(np.clip(0.46 * classes, 2.4, most_inches))  # inches
    points = 72 * side / classes / (0.64 * max(len(text) for text in texts.flat))  # a digit is about 0.64 of its height
    figure = Figure(figsize=(side + 2.7, side + 1.7))
    axes = figure.subplots()
    sns.heatmap(
        shares,
        ax=axes,
        cmap="Blues",
        norm=PowerNorm(0.5, 0, 1),  # the square root: a class seldom mistaken still shows its mistakes
        square=True,
        annot=texts if few else None,
        fmt="",
        annot_kws={"fontsize": min(9, 0.9 * points)},
        linewidths=0.6 if few else 0,
        cbar_kws={"shrink": 0.6, "ticks": SHARE_TICKS, "format": lambda share, _: percent(share, 0)},
    )
    axes.figure.axes[-1].set_ylabel("share of the true class (square-root scale)", fontsize=9)
    names = drawable_classes(class_names, 18)
    for axis in (axes.xaxis, axes.yaxis):
        name_classes(axis, names, side, offset=0.5)
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=90 if classes > 4 else 0)
    axes.set(xlabel="predicted class", ylabel="true class")
    write_title(figure, worst_mistake(matrix, names, candidate))
    return figure


def worst_mistake(matrix: np.ndarray, names: Sequence[str], candidate: str) -> str:
    """What a candidate gets wrong most often, as a sentence."""
    worst = mistakes(matrix, 1)
    if not worst:
        return f"{candidate} makes no mistake"
    true, predicted, times = worst[0]
    support = count(matrix[true].sum())
    return f"{candidate} most often takes {names[true]} for {names[predicted]}: {count(times)} of {support}"


@styled
def accuracy_vs_time(comparison: Comparison, width: float = WIDTH, height: float = 4.6) -> Figure:
    """Seconds to fit against accuracy on test: faint points are seeds, marks their means."""
    means = means_of(comparison)
    seconds, accuracy = ({name: row[key] for name, row in means.items()} for key in ("fit_seconds", "accuracy"))
    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    points = {name: (seconds[name], accuracy[name]) for name in means}
    lines = _front(points)
    for line in lines:
        axes.plot(*zip(*line, strict=True), color=FRONT, lw=1.2, ls=":", zorder=1)
    for name, colour in colours(comparison).items():
        seeds = [row for row in comparison.rows if row["candidate"] == name]
        if len(seeds) > 1:
            spread = means[name]["accuracy_std"]
            axes.plot(
                [row["fit_seconds"] for row in seeds], [row["accuracy"] for row in seeds], ".", color=colour, alpha=0.5
            )
            axes.errorbar(*points[name], spread, color=colour, lw=1.2, capsize=3)
            lines += [((seconds[name], accuracy[name] - spread), (seconds[name], accuracy[name] + spread))]
        axes.plot(*points[name], markers(comparison)[name], color=colour, ms=11, mec="white", mew=1)
    axes.margins(x=0.14, y=0.18)
    axes.set_ylim(top=min(axes.get_ylim()[1], MOST_ACCURATE))
    time_axis(axes, seconds.values())
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_ylabel("accuracy on test")
    write_title(figure, _trade(seconds, accuracy))
    if are_long(means):
        write_legend(figure, list(means), marks(comparison, list(means), ms=9))
        return figure
    figure.draw_without_rendering()  # names are placed where the points have come to lie
    label_points(axes, points, lines, colours(comparison))
    return figure


def _front(points: Mapping[str, Point]) -> list[tuple[Point, Point]]:
    """The stairs under which a point is beaten by another that is no slower: lines from point to point."""
    ordered = sorted(points.values(), key=lambda point: (point[0], -point[1]))
    lines, (_, height) = [], ordered[0]
    for (before, _), (now, accuracy) in itertools.pairwise(ordered):
        lines.append(((before, height), (now, height)))
        if accuracy > height:
            lines.append(((now, height), (now, accuracy)))
            height = accuracy
    return lines


def _trade(seconds: Mapping[str, float], accuracy: Mapping[str, float]) -> str:
    best, quickest = max(accuracy, key=accuracy.__getitem__), min(seconds, key=seconds.__getitem__)
    found = f"{percent(accuracy[best])} in {duration(seconds[best])}"
    if len(accuracy) == 1:
        return f"{best} reaches {found}"
    if best == quickest:
        return f"{best} is both the most accurate and the quickest to fit: {found}"
    return f"{best} is the most accurate: {found}; quickest is {quickest}: {duration(seconds[quickest])}"
