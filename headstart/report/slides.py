"""A Comparison as a presentation: `slides.pdf`, 16:9, made of the run folder alone. A slide with nothing to say is left
out: of two networks that did not run, or of pictures that the folder lacks."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from headstart.data.dataset import PARTS
from headstart.evaluation.examples import NOTHING, choose
from headstart.report import closing, count, figures, images, megabytes, milliseconds, percent, short_count
from headstart.report.drawing import WIDTH, colours, evenly, markers, styled
from headstart.report.lettering import drawable, drawable_classes, fitting, measured, numbered
from headstart.report.reading import (
    candidates,
    confusion_matrix,
    means_of,
    mistakes,
    predictions,
    retrained_shares,
    runs_of,
)
from headstart.report.slide import (
    HEIGHT,
    MARGIN,
    blank,
    box,
    mark,
    paragraph,
    picture,
    shape,
    table,
    with_chart,
)
from headstart.report.tables import table_rows, tables
from headstart.report.words import QUESTION
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import Comparison
from headstart.results.files import write_bytes
from headstart.results.pictures import Pictures, read_pictures
from headstart.theme import EDGE, INK, MUTED

# What the networks from scratch are made of, in the order that an image passes (tests/report/test_slides.py counts).
LAYERS = {
    "base-cnn": ("conv 32", "pool", "conv 64", "pool", "conv 128", "pool", "dense 128"),
    "deep-cnn": ("whiten 24", *("conv 64", "pool", "conv 64"), *2 * ("conv 256", "pool", "conv 256")),
}
SAMPLES = 10  # classes, and images of each
SAMPLE_CELL = 0.37  # inches
COMMON_MISTAKES = 4
MOST_SCRATCH, MOST_TRANSFER, MOST_COLUMNS = 3, 4, 5  # candidates on a slide: one below the other, or side by side


def write_slides(comparison: Comparison) -> Path:
    """Write slides.pdf into the comparison's folder; returns its path. Its text is text, its fonts are inside."""
    buffer = io.BytesIO()
    name = _name(comparison)
    metadata = {"Title": f"headstart: {comparison.recommended} on {name}", "CreationDate": None}
    with mpl.rc_context({"pdf.fonttype": 42}), PdfPages(buffer, metadata=metadata) as pages:  # letters, not outlines
        for number, slide in enumerate(slides(comparison), start=1):
            mark(slide, f"headstart · {name} · {number}")
            pages.savefig(slide)
    path = comparison.folder / runs.SLIDES
    write_bytes(path, buffer.getvalue())
    renew_checksums(comparison.folder, runs.SLIDES)
    return path


@styled
def slides(comparison: Comparison) -> list[Figure]:
    """The slides, each a figure of 16:9."""
    names = candidates(comparison)
    configs = {name: runs_of(comparison, name)[0].config for name in names}
    transfer = list(retrained_shares(comparison))
    scratch = [name for name in names if name not in transfer]
    made = [_question(comparison, configs), _data(comparison)]
    made += [_from_scratch(comparison, *part, configs) for part in _parts(scratch, MOST_SCRATCH)]
    made += [_transfer(comparison, *part, configs) for part in _parts(transfer, MOST_TRANSFER)]
    made += [_training(comparison, *part, configs) for part in _parts(names, MOST_COLUMNS)]
    made += [_curves(comparison, *part) for part in _parts(names, MOST_COLUMNS)]
    made += [_results(comparison, *part) for part in _parts(names, MOST_COLUMNS)]
    made += [with_chart(figures.class_scores(comparison, height=HEIGHT)), _confusion(comparison)]
    made += [with_chart(figures.accuracy_vs_time(comparison, height=HEIGHT)), closing.verdict(comparison)]
    made += [closing.sure(comparison)] if comparison.verdict.alternatives else []
    made += [closing.cautions()]
    return made


def _parts(names: list[str], most: int) -> list[tuple[list[str], str]]:
    """The candidates of each slide, at most so many and about equally many, and what its title ends with."""
    slides = math.ceil(len(names) / most)
    ends = [place * len(names) // slides for place in range(slides + 1)] if slides else []
    parts = [names[start:end] for start, end in itertools.pairwise(ends)]
    return [(part, f" ({number} of {slides})" if slides > 1 else "") for number, part in enumerate(parts, start=1)]


def _name(comparison: Comparison) -> str:
    return drawable(comparison.dataset["name"], "these images", 40)


def _question(comparison: Comparison, configs: Mapping[str, Any]) -> Figure:
    slide = blank("")
    top = paragraph(slide, QUESTION.format(_name(comparison)), 1.0, points=20, bold=True) + 0.35
    few = "One answer" if len(configs) == 1 else f"{len(configs)} answers"
    top = paragraph(slide, f"{few}, trained and measured alike:", top, colour=MUTED) + 0.1
    summaries = {name: config["strategy"]["summary"] for name, config in configs.items()}
    of_name, of_summary = (
        max(measured(it, 1, bold=True) for it in texts) for texts in (summaries, [*summaries.values()])
    )
    step = min(0.35, (HEIGHT - MARGIN - top) / len(configs))  # inches for each
    points = min(11, 46 * step, (WIDTH - 2 * MARGIN - 0.4) / (of_name + of_summary))
    indent = MARGIN + max(1.6, 0.4 + points * of_name)
    for name, colour in colours(comparison).items():
        shape(slide, MARGIN + 0.08, top + 0.7 * points / 72, markers(comparison)[name], colour, points)
        paragraph(slide, name, top, MARGIN + 0.25, points=points, bold=True, colour=colour)
        paragraph(slide, summaries[name], top, indent, WIDTH - MARGIN - indent, points=points)
        top += step
    return slide


def _data(comparison: Comparison) -> Figure:
    slide = blank(f"The data: {_name(comparison)}")
    pictures, data = read_pictures(comparison.folder), comparison.dataset
    names = drawable_classes(data["class_names"], 16)
    uses = zip(PARTS, ("train on", "validate on", "test on"), strict=True)
    folds = [f"{count(data['test'])} images in {comparison.folds} folds"] if comparison.folds else []
    facts = folds or [f"{count(data[split])} images to {use}" for split, use in uses]
    facts += [f"{count(len(names))} classes"]
    facts += [] if pictures is None else [images.balance_sentence(pictures.counts[0], names)]
    if lacking := numbered(data["class_names"]):
        facts += [
            f"No font here has the letters of {count(lacking)} of them: they are numbered, and named in {runs.REPORT}"
        ]
    facts += [f"From {drawable(data['source'], 'elsewhere', 90)}"]
    top = 1.0
    for fact in facts:
        top = paragraph(slide, fact, top, width=2.9) + 0.12
    if pictures is not None:
        _samples(slide, pictures, names)
    return slide


def _samples(slide: Figure, pictures: Pictures, names: list[str]) -> None:
    by_class: dict[int, list[bytes]] = {}
    for label, jpeg in pictures.samples:
        by_class.setdefault(label, []).append(jpeg)
    shown = [list(by_class)[place] for place in evenly(np.arange(len(by_class)), SAMPLES)]
    for row, label in enumerate(shown):
        top = 1.0 + row * SAMPLE_CELL
        paragraph(slide, names[label], top + 0.08, 3.6, 1.4, points=9)
        for column, jpeg in enumerate(by_class[label][:SAMPLES]):
            picture(slide, jpeg, 4.85 + column * SAMPLE_CELL, top, 0.92 * SAMPLE_CELL)


def _from_scratch(comparison: Comparison, names: list[str], part: str, configs: Mapping[str, Any]) -> Figure:
    slide = blank(f"From scratch: all they know is from these images{part}")
    top, gap = 1.15, 0.35 if len(names) < 3 else 0.12
    for name in names:
        colour = _name_and_size(slide, comparison, name, top)
        top = _layers(slide, configs[name], top + 0.38, colour)
        top = paragraph(slide, configs[name]["strategy"]["summary"], top + 0.1, points=10) + gap
    return slide


def _layers(slide: Figure, config: Mapping[str, Any], top: float, colour: str) -> float:
    """A row of boxes from image to classes; returns where it ends."""
    network = config["network"]
    classes = f"{len(config['dataset']['class_names'])} classes"
    boxes = ["image", *LAYERS.get(network["kind"], (drawable(network.get("name", ""), "network", 40),)), classes]
    room, gap = WIDTH - 2 * MARGIN, 0.05
    needed = [measured(text, 8) + 0.16 for text in boxes]
    points = 8 * min(1, (room - gap * len(boxes)) / sum(needed))
    left = MARGIN
    for text, width in zip(boxes, needed, strict=True):
        width *= points / 8
        box(slide, left, top, width, 0.42, EDGE if text in ("image", "pool", classes) else colour, 0.35)
        paragraph(slide, text, top + 0.12, left + 0.08 * points / 8, 9, points=points)
        left += width + gap
    return top + 0.42


def _name_and_size(slide: Figure, comparison: Comparison, name: str, top: float) -> str:
    """A candidate's name and what its network weighs, on one line; returns its colour."""
    colour, row = colours(comparison)[name], means_of(comparison)[name]
    trained = short_count(row["trainable_parameters"])
    size = (
        f"{short_count(row['parameters'])} parameters, {trained} of them trained; {megabytes(row['size_mb'])}; "
        f"{milliseconds(row['latency_ms'])} an image"
    )
    points = fitting(name, 0.46 * (WIDTH - 2 * MARGIN), 13, bold=True)
    indent = MARGIN + max(1.6, measured(name, points, bold=True) + 0.15)
    room = WIDTH - MARGIN - indent
    paragraph(slide, name, top, points=points, bold=True, colour=colour)
    paragraph(slide, size, top + 0.02, indent, room + 0.01, points=fitting(size, room, 10), colour=MUTED)
    return colour


def _transfer(comparison: Comparison, names: list[str], part: str, configs: Mapping[str, Any]) -> Figure:
    slide = blank(f"Transfer: they start from what ImageNet taught{part}")
    backbone = comparison.backbone or {}
    weights = drawable(str(backbone.get("weights")), "local weights", 60)
    network = drawable(str(backbone.get("name")), "a network", 40)
    top = paragraph(slide, f"Backbone: {network}, {weights}", 0.95, points=10) + 0.2
    head, bar, gap = (0.38, 0.42, 0.3) if len(names) < 3 else (0.28, 0.24, 0.1)
    for name in names:
        colour, config = _name_and_size(slide, comparison, name, top), configs[name]
        top = _cut(slide, config["strategy"]["frozen_share"], top + head, bar, colour)
        said = f"Trained: {_pieces(config['retrained'])}. {_agreement(comparison.forgetting.get(name, {}))}"
        top = paragraph(slide, said.strip(), top + 0.05, points=10) + gap
    paragraph(
        slide,
        "What is frozen never changes, so it sees each image once per view; training repeats only what comes after.",
        top,
        points=10,
        colour=MUTED,
    )
    return slide


def _pieces(retrained: Sequence[str]) -> str:
    """What is trained: of many pieces of a backbone, the first and the last."""
    pieces = [drawable(str(piece), "a piece", 40) for piece in retrained]
    if not pieces:
        return "a new head alone"
    named = f"{pieces[0]} to {pieces[-1]}" if len(pieces) > 2 else ", ".join(pieces)
    return f"{named}, and a new head"


def _agreement(forgotten: Mapping[str, float | None]) -> str:
    agreement = forgotten.get("agreement")
    return "" if agreement is None else f"The old head then agrees on {percent(agreement, 0)} of the test images."


def _cut(slide: Figure, frozen: float, top: float, height: float, colour: str) -> float:
    """A bar from image to classes: what is frozen, what is retrained, the new head; returns where it ends."""
    body, head, lines = WIDTH - 2 * MARGIN - 0.85, 0.8, (height - 0.18) / 2
    box(slide, MARGIN, top, body * frozen, height, EDGE, 0.5)
    box(slide, MARGIN + body * frozen, top, body * (1 - frozen), height, colour, 0.35)
    box(slide, MARGIN + body + 0.05, top, head, height, colour, 0.7)
    if frozen > 0.15:
        paragraph(slide, f"frozen: {percent(frozen, 0)} of the layers", top + lines, MARGIN + 0.12, 4, points=9)
    if frozen < 0.95:
        paragraph(slide, "retrained", top + lines, MARGIN + body * frozen + 0.12, 4, points=9)
    paragraph(slide, "head", top + lines, MARGIN + body + 0.2, 2, points=9)
    return top + height


def _training(comparison: Comparison, names: list[str], part: str, configs: Mapping[str, Any]) -> Figure:
    slide = blank(f"How they were trained: one loop, a recipe each{part}")
    means = means_of(comparison)
    recipes = {name: configs[name]["strategy"]["recipe"] for name in names}
    rows = {
        "epochs": [count(means[name]["epochs"]) for name in recipes],
        "batch size": [count(recipe["batch_size"]) for recipe in recipes.values()],
        "optimizer": [_distinct(recipe, "optimizer") for recipe in recipes.values()],
        "learning rate": [_distinct(recipe, "learning_rate") for recipe in recipes.values()],
        "schedule": [recipe["schedule"] for recipe in recipes.values()],
        "label smoothing": [f"{recipe['label_smoothing']:g}" for recipe in recipes.values()],
        "mixup": [f"{recipe['mixup']:g}" for recipe in recipes.values()],
        "augmentation: views": [count(len(recipe["views"])) for recipe in recipes.values()],
        "augmentation: pixels moved": [count(recipe["translate"]) for recipe in recipes.values()],
        comparison.repeats: [count(means[name]["runs"]) for name in recipes],
    }
    top = table(
        slide, [["", *recipes], *([key, *cells] for key, cells in rows.items())], 0.95, _heads(comparison, names)
    )
    said = "Every choice was made on the validation set; the test set was used once, after training."
    paragraph(slide, said, top + 0.15, points=10, colour=MUTED)
    return slide


def _distinct(recipe: Mapping[str, Any], key: str) -> str:
    values = dict.fromkeys(group[key] for group in recipe["groups"])
    return ", ".join(value if isinstance(value, str) else f"{value:g}" for value in values)


def _heads(comparison: Comparison, names: list[str]) -> list[str]:
    return [INK, *(colours(comparison)[name] for name in names)]


def _curves(comparison: Comparison, names: list[str], part: str) -> Figure:
    figure = figures.curves(comparison, across=names)
    figure.suptitle(f"{figure.get_suptitle()}{part}")
    return with_chart(figure)


def _results(comparison: Comparison, names: list[str], part: str) -> Figure:
    means = means_of(comparison)
    best = max(means, key=lambda name: means[name]["accuracy"])
    slide = blank(f"Results: {best} is right about {percent(means[best]['accuracy'])} of the test images{part}")
    rows = [["", *names]]
    for columns in tables(comparison).values():
        cells = table_rows(comparison, columns)
        for place, column in enumerate(columns):
            marked = [("★ " if cells[name][place].best else "") + cells[name][place].text for name in names]
            rows.append([column.title, *marked])
    top = table(slide, rows, 0.85, _heads(comparison, names), points=8.5)
    if len(means) > 1:
        paragraph(slide, f"★ marks the best of {'all' if part else 'a row'}.", top + 0.06, points=8, colour=MUTED)
    return slide


def _confusion(comparison: Comparison) -> Figure:
    """The recommended candidate's matrix, and its most frequent mistakes with their surest images."""
    name, names = comparison.recommended, comparison.dataset["class_names"]
    matrix = confusion_matrix(comparison, name)
    slide = with_chart(figures.confusion(comparison, name, most_inches=2.8), right=0.63)
    pictures, logits_labels = read_pictures(comparison.folder), predictions(comparison)
    kept = {} if pictures is None else pictures.tests
    cells = choose(*logits_labels).get(name, NOTHING).cells
    short, top = drawable_classes(names, 18), 1.0
    for true, taken, times in mistakes(matrix, COMMON_MISTAKES):
        words = f"{short[true]} taken for {short[taken]}: {count(times)} of {count(matrix[true].sum())}"
        top = paragraph(slide, words, top, 5.75, 2.8, points=9.5) + 0.05
        shown = [kept[each.image] for each in cells.get((true, taken), []) if each.image in kept]
        for place, jpeg in enumerate(shown):
            picture(slide, jpeg, 5.75 + 0.55 * place, top, 0.5)
        top += 0.65 if shown else 0.1
    return slide
