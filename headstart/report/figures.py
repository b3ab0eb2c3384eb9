"""Data to pictures: every function here is pure, takes what was measured and returns a matplotlib Figure.

Nothing touches pyplot: figures are objects, so that drawing one never changes another, nor a notebook around it.
Each title says what was found, or what is shown where nothing can be found.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from headstart import runs
from headstart.comparison import Comparison
from headstart.data.dataset import Dataset, Split
from headstart.report import count, duration, percent
from headstart.report.drawing import (
    DPI,
    INK,
    MUTED,
    WIDTH,
    Point,
    blank_canvas,
    colours,
    drawable_classes,
    evenly,
    label_points,
    markers,
    means_of,
    name_classes,
    place_image,
    png,
    runs_of,
    strategies,
    styled,
    time_axis,
    write_title,
)

MOST_CLASSES_DRAWN = 100
MOST_CLASSES_COUNTED = 25  # more cells than that leave no room for a number
# Most classes -> columns of classes, images of each, letters of its name, points of its type.
SAMPLE_LAYOUTS = {12: (1, 10, 20, 10), 30: (2, 5, 18, 9), MOST_CLASSES_DRAWN: (4, 3, 16, 7)}
SLATE = "#4a6072"  # no strategy's colour
DASHES = (0, (3, 1.5))
SHARE_TICKS = [0, 0.01, 0.05, 0.2, 0.5, 1]
SPLITS = ("train", "val", "test")
SCORES = {"accuracy": "accuracy", "precision_macro": "precision", "recall_macro": "recall", "f1_macro": "F1"}


def show(dataset: Dataset, augmented: tuple[np.ndarray, np.ndarray], path: Path) -> None:
    """Write one PNG with some images of each class, how many there are and what augmentation makes of them.

    augmented: originals (N, H, W, 3) uint8 and their variants (N, K, H, W, 3) uint8.
    """
    figures = (samples(dataset.train, dataset.class_names), class_balance(dataset), augmentation(*augmented))
    pictures = [Image.open(io.BytesIO(png(figure))).convert("RGB") for figure in figures]
    gap = DPI // 4
    height = sum(picture.height for picture in pictures) + gap * (len(pictures) - 1)
    page = Image.new("RGB", (max(picture.width for picture in pictures), height), "white")
    top = 0
    for picture in pictures:
        page.paste(picture, (0, top))
        top += picture.height + gap
    buffer = io.BytesIO()
    page.save(buffer, format="png")
    runs.write_bytes(path, buffer.getvalue())


# ---------------------------------------------------------------------------------------------------------- the images


@styled
def samples(split: Split, class_names: Sequence[str]) -> Figure:
    """Some images of each class in a row, evenly taken from `split`; of very many classes, an even choice."""
    chosen = evenly(np.arange(len(class_names)), MOST_CLASSES_DRAWN)
    columns, per_class, letters, font = next(layout for most, layout in SAMPLE_LAYOUTS.items() if len(chosen) <= most)
    names = drawable_classes(class_names, letters)
    letters = max(len(names[label]) for label in chosen)
    of_all = "" if len(chosen) == len(class_names) else f"{len(chosen)} of "
    rows = math.ceil(len(chosen) / columns)
    label_width = 0.1 + 0.0088 * font * letters  # inches: a letter is about 0.63 of its height wide
    cell = min(0.85, (WIDTH / columns - label_width - 0.1) / per_class)
    figure, canvas = blank_canvas(
        rows * cell, f"What the images look like: {of_all}{count(len(class_names))} classes, {count(len(split))} images"
    )
    for place, label in enumerate(chosen):
        column, row = divmod(place, rows)
        left, top = column * WIDTH / columns, row * cell
        canvas.text(left, top + cell / 2, names[label], va="center", fontsize=font)
        indices = evenly(np.flatnonzero(split.labels == label), per_class)
        if len(indices) == 0:
            canvas.text(left + label_width, top + cell / 2, "no image", va="center", fontsize=font, color=MUTED)
        for number, index in enumerate(indices):
            place_image(canvas, split.images[index], left + label_width + number * cell, top, cell)
    return figure


@styled
def augmentation(originals: np.ndarray, variants: np.ndarray) -> Figure:
    """What augmentation does: each original at the left, what training may see in its place at the right.

    originals: (N, H, W, 3) uint8. variants: (N, K, H, W, 3) uint8.
    """
    per_row, gap = variants.shape[1], 0.3
    cell = min(0.95, (WIDTH - gap) / (1 + per_row))
    figure, canvas = blank_canvas(len(originals) * cell + 0.25, "What augmentation does: the same label, another look")
    canvas.text(0, 0.1, "original", va="center", color=MUTED)
    canvas.text(cell + gap, 0.1, "variants that training sees", va="center", color=MUTED)
    for row, (original, its_variants) in enumerate(zip(originals, variants, strict=True)):
        top = 0.25 + row * cell
        place_image(canvas, original, 0, top, cell)
        for number, variant in enumerate(its_variants):
            place_image(canvas, variant, cell + gap + number * cell, top, cell)
    return figure


@styled
def class_balance(dataset: Dataset) -> Figure:
    """How many images of each class train, val and test hold."""
    classes = len(dataset.class_names)
    height = float(np.clip(0.24 * classes, 1.4, 14))
    figure = Figure(figsize=(WIDTH, height + 1.1))
    panels = figure.subplots(1, len(SPLITS), sharey=True)
    for axes, name in zip(panels, SPLITS, strict=True):
        counts = np.bincount(getattr(dataset, name).labels, minlength=classes)
        bars = axes.barh(np.arange(classes), counts, color=SLATE, height=0.72)
        axes.set_title(f"{name}: {count(counts.sum())}")
        axes.set_xlabel("images")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.01)
        if classes <= 30:
            axes.bar_label(bars, [count(number) for number in counts], padding=3, fontsize=8, color=MUTED)
            axes.margins(x=0.18)
    name_classes(panels[0].yaxis, dataset.class_names, height)
    panels[0].invert_yaxis()
    training = np.bincount(dataset.train.labels, minlength=classes)
    write_title(figure, _balance(training, drawable_classes(dataset.class_names)))
    return figure


def _balance(counts: np.ndarray, names: Sequence[str]) -> str:
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[least] == 0:
        return f"{names[least]} has no training image"
    ratio = counts[most] / counts[least]
    if ratio < 1.05:
        about = "" if most == least else "about "
        return f"The classes are balanced: {about}{count(round(counts.mean()))} training images each"
    times = f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
    return f"{names[most]} has {times} times as many training images as {names[least]}"


# --------------------------------------------------------------------------------------------------------- the results


@styled
def curves(comparison: Comparison) -> Figure:
    """Loss and accuracy on train and val over the epochs, a row a strategy, every seed a line."""
    names = strategies(comparison)
    figure = Figure(figsize=(WIDTH, 1.75 * len(names) + 1.1))
    rows = figure.subplots(len(names), 2, squeeze=False)
    for name, (loss, accuracy) in zip(names, rows, strict=True):
        colour = colours(comparison)[name]
        for history in (run.history for run in runs_of(comparison, name)):
            _curve(loss, history, "loss", colour)
            _curve(accuracy, history, "accuracy", colour)
        loss.set_title(f"{name}: loss", color=colour)
        accuracy.set_title(f"{name}: accuracy", color=colour)
        loss.set_ylabel("loss")
        accuracy.sharey(rows[0][1])
        accuracy.set_ylabel("share correct")
        accuracy.yaxis.set_major_formatter(lambda value, _: percent(value, 0))
        for axes in (loss, accuracy):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in rows[-1]:
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
def metrics(comparison: Comparison) -> Figure:
    """Accuracy, precision, recall and F1 by strategy: the mean as a mark with its number, each seed as a faint dot."""
    means = means_of(comparison)
    figure = Figure(figsize=(WIDTH, 0.42 * len(means) + 1.5))
    panels = figure.subplots(1, len(SCORES), sharex=True, sharey=True)
    for axes, (key, title) in zip(panels, SCORES.items(), strict=True):
        for row, (name, colour) in enumerate(colours(comparison).items()):
            seeds = [entry[key] for entry in comparison.strategies if entry["strategy"] == name]
            mean = means[name][key]
            if len(seeds) > 1:
                axes.plot(seeds, [row] * len(seeds), ".", color=colour, alpha=0.45, ms=7)
            axes.plot(mean, row, markers(comparison)[name], color=colour, ms=8, mec="white", mew=0.8)
            axes.annotate(percent(mean), (mean, row), (0, 8), textcoords="offset points", ha="center", fontsize=8.5)
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    panels[0].set_yticks(range(len(means)), list(means))
    panels[0].tick_params(axis="y", labelcolor=INK, labelsize=10)
    panels[0].set_ylim(len(means) - 0.5, -0.7)
    low, high = panels[0].dataLim.intervalx
    margin = max(0.3 * (high - low), 0.002)  # room for the numbers of the outermost marks
    panels[0].set_xlim(low - margin, high + margin)
    figure.supxlabel("score on test; the axis does not start at zero", fontsize=9, color=MUTED)
    best = max(means, key=lambda name: means[name]["accuracy"])
    write_title(figure, f"{best} is right most often: {percent(means[best]['accuracy'])} of the test images")
    return figure


@styled
def confusion(matrix: np.ndarray, class_names: Sequence[str], strategy: str) -> Figure:
    """What `strategy` took for what: counts (C, C), a row a true class, coloured by their share of the row."""
    classes = len(class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)  # a class without test images is an empty row
    few = classes <= MOST_CLASSES_COUNTED
    side = float(np.clip(0.46 * classes, 2.4, 8.5))  # inches
    figure = Figure(figsize=(side + 2.7, side + 1.7))
    axes = figure.subplots()
    sns.heatmap(
        shares,
        ax=axes,
        cmap="Blues",
        norm=PowerNorm(0.5, 0, 1),  # the square root: a class seldom mistaken still shows its mistakes
        square=True,
        annot=np.array([[count(number) if number else "" for number in row] for row in matrix]) if few else None,
        fmt="",
        annot_kws={"fontsize": 9 if classes <= 12 else 6.5},
        linewidths=0.6 if few else 0,
        cbar_kws={"shrink": 0.6, "ticks": SHARE_TICKS, "format": lambda share, _: percent(share, 0)},
    )
    axes.figure.axes[-1].set_ylabel("share of the true class (square-root scale)", fontsize=9)
    name_classes(axes.yaxis, class_names, side, length=18, offset=0.5)
    name_classes(axes.xaxis, class_names, side, length=18, offset=0.5)
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=90 if classes > 4 else 0)
    axes.set(xlabel="predicted class", ylabel="true class")
    write_title(figure, _worst_mistake(matrix, drawable_classes(class_names, 18), strategy))
    return figure


def mistakes(matrix: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions as (true class, predicted class, count), the most frequent first."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (np.unravel_index(place, wrong.shape) for place in order)
    return [(int(true), int(taken), int(wrong[true, taken])) for true, taken in pairs if wrong[true, taken]]


def _worst_mistake(matrix: np.ndarray, names: Sequence[str], strategy: str) -> str:
    worst = mistakes(matrix, 1)
    if not worst:
        return f"{strategy} makes no mistake"
    true, predicted, times = worst[0]
    support = count(matrix[true].sum())
    return f"{strategy} most often takes {names[true]} for {names[predicted]}: {count(times)} of {support}"


@styled
def accuracy_vs_time(comparison: Comparison) -> Figure:
    """Seconds to fit against accuracy on test: faint points are seeds, marks their means."""
    means = means_of(comparison)
    seconds, accuracy = ({name: row[key] for name, row in means.items()} for key in ("fit_seconds", "accuracy"))
    figure = Figure(figsize=(WIDTH, 4.6))
    axes = figure.subplots()
    points = {name: (seconds[name], accuracy[name]) for name in means}
    lines = _front(points)
    for line in lines:
        axes.plot(*zip(*line, strict=True), color="#8d959c", lw=1.2, ls=":", zorder=1)
    for name, colour in colours(comparison).items():
        seeds = [row for row in comparison.strategies if row["strategy"] == name]
        if len(seeds) > 1:
            spread = means[name]["accuracy_std"]
            axes.plot(
                [row["fit_seconds"] for row in seeds], [row["accuracy"] for row in seeds], ".", color=colour, alpha=0.5
            )
            axes.errorbar(*points[name], spread, color=colour, lw=1.2, capsize=3)
            lines += [((seconds[name], accuracy[name] - spread), (seconds[name], accuracy[name] + spread))]
        axes.plot(*points[name], markers(comparison)[name], color=colour, ms=11, mec="white", mew=1)
    axes.margins(x=0.14, y=0.18)
    time_axis(axes, seconds.values())
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_ylabel("accuracy on test")
    write_title(figure, _trade(seconds, accuracy))
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
