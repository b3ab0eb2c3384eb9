"""The data itself, as pictures: samples, class balance, augmentation, and the small ones that a report keeps.

All that needs the images is done here, once, while they are at hand: from then on the run folder is enough.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from headstart.data.dataset import PARTS, Dataset, Subset
from headstart.data.decode import unfitted
from headstart.errors import HeadstartError
from headstart.evaluation.examples import by_importance, choose
from headstart.report import confusion, count, heat
from headstart.report.drawing import (
    DPI,
    WIDE,
    WIDTH,
    blank_canvas,
    evenly,
    name_classes,
    place_image,
    png,
    styled,
    write_title,
)
from headstart.report.lettering import drawable_classes
from headstart.report.reading import predictions
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import Comparison
from headstart.results.files import write_bytes
from headstart.results.pictures import Pictures, write_pictures
from headstart.theme import MUTED, SLATE

MOST_CLASSES_DRAWN = 100
# Most classes -> columns of classes, images of each, letters of its name, points of its type.
SAMPLE_LAYOUTS = {12: (1, 10, 20, 10), 30: (2, 5, 18, 9), MOST_CLASSES_DRAWN: (4, 3, 16, 7)}
SAMPLES, BALANCE = "samples.png", "class_balance.png"

LONGEST_SIDE = 64  # pixels of a small picture
QUALITY = 90  # of a JPEG
MOST_BYTES = 900_000  # of all small pictures: the page that holds them stays under 3 MB


def keep_pictures(comparison: Comparison, dataset: Dataset) -> None:
    """Draw samples and class balance, and keep small pictures for the report, in the comparison's folder.

    Which test images are kept is chosen from the runs' predictions; the most important come first, up to `MOST_BYTES`.
    Those of the galleries are kept with their heat maps, too, where these can be had. A finished folder may be given
    new ones. dataset: what the runs were trained on. Raises HeadstartError when it is another one.
    """
    if dataset.fingerprint != comparison.dataset["fingerprint"]:
        raise HeadstartError(
            f"the runs in {comparison.folder} were tested on {comparison.dataset['name']}, whose fingerprint is "
            f"{comparison.dataset['fingerprint'][:12]}, not on {dataset.name} ({dataset.fingerprint[:12]}): load that"
        )
    folder = comparison.folder / runs.FIGURES
    folder.mkdir(exist_ok=True)
    write_bytes(folder / SAMPLES, png(samples(dataset.train, dataset.class_names)))
    write_bytes(folder / BALANCE, png(class_balance(counts(dataset), dataset.class_names)))
    shown = _sample_indices(dataset.train.labels, len(dataset.class_names))
    kept = [(int(dataset.train.labels[index]), small_jpeg(as_shown(dataset.train, index))) for index in shown]
    bytes_each = sum(len(jpeg) for _, jpeg in kept) / max(len(kept), 1)
    kept = [kept[place] for place in evenly(np.arange(len(kept)), int(MOST_BYTES / 2 / max(bytes_each, 1)))]
    left = MOST_BYTES - sum(len(jpeg) for _, jpeg in kept)
    tests, heats = _small_tests(comparison, dataset.tested, left)
    parts = dataset.parts | {"test": dataset.tested}
    suspects = [small_jpeg(as_shown(parts[it["split"]], it["row"])) for it in comparison.label_suspects]
    balance = np.array(list(counts(dataset).values()))
    write_pictures(comparison.folder, Pictures(tests, kept, suspects, balance, heats))
    renew_checksums(comparison.folder, runs.EXAMPLES, *(f"{runs.FIGURES}/{name}" for name in (SAMPLES, BALANCE)))


def _small_tests(
    comparison: Comparison, tested: Subset, left: int
) -> tuple[dict[int, bytes], dict[tuple[str, int, int], bytes]]:
    """Small pictures of test images by what the page has of them, and their heat maps: at most `left` bytes."""
    logits, labels = predictions(comparison)
    examples = choose(logits, labels)
    galleries = confusion.galleries(comparison, examples, logits, labels)
    warmed = heat.warmed(comparison, chain.from_iterable(galleries.values()), tested.images)
    heats = {shown: small_jpeg(as_shown(tested, shown[1], pixels)) for shown, pixels in warmed.items()}
    left -= sum(map(len, heats.values()))
    of_pairs = (shot.image for gallery in galleries["confused_pairs"] for shot in gallery.shots)
    tests: dict[int, bytes] = {}
    for index in dict.fromkeys(chain(of_pairs, by_importance(examples))):
        jpeg = small_jpeg(as_shown(tested, index))
        left -= len(jpeg)
        if left < 0:
            break
        tests[index] = jpeg
    return tests, heats


def as_shown(part: Subset, row: int, square: np.ndarray | None = None) -> np.ndarray:
    """An image of a part as a person should see it, (h, w, 3) uint8: without bars, in the shape that its file has.

    square: (S, S, 3) uint8, another one of the same picture (None: that which the data set keeps).
    """
    square = part.images[row] if square is None else square
    if part.files is None:
        return square
    height, width = part.files[["height", "width"]].iloc[row].tolist()
    return unfitted(square, height, width, part.dataset.fit)


def small_jpeg(pixels: np.ndarray) -> bytes:
    """An image (H, W, 3) uint8 as a JPEG whose longer side is at most `LONGEST_SIDE`."""
    image = Image.fromarray(np.asarray(pixels))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="jpeg", quality=QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def counts(dataset: Dataset) -> dict[str, np.ndarray]:
    """Split -> (C,) images of each class."""
    classes = len(dataset.class_names)
    return {name: np.bincount(getattr(dataset, name).labels, minlength=classes) for name in PARTS}


def _layout(classes: int) -> tuple[int, int, int, int]:
    return next(layout for most, layout in SAMPLE_LAYOUTS.items() if min(classes, MOST_CLASSES_DRAWN) <= most)


def _sample_indices(labels: np.ndarray, classes: int) -> list[int]:
    """Of each class as many images as the figure of samples shows, evenly taken."""
    shown = evenly(np.arange(classes), MOST_CLASSES_DRAWN)
    per_class = _layout(classes)[1]
    return [int(index) for label in shown for index in evenly(np.flatnonzero(labels == label), per_class)]


def show(dataset: Dataset, augmented: tuple[np.ndarray, np.ndarray], path: Path) -> None:
    """Write one PNG with some images of each class, how many there are and what augmentation makes of them.

    augmented: originals (N, H, W, 3) uint8 and their variants (N, K, H, W, 3) uint8.
    """
    balance = class_balance(counts(dataset), dataset.class_names)
    figures = (samples(dataset.train, dataset.class_names), balance, augmentation(*augmented))
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
    write_bytes(path, buffer.getvalue())


@styled
def samples(part: Subset, class_names: Sequence[str]) -> Figure:
    """Some images of each class in a row, evenly taken from `part`; of very many classes, an even choice."""
    chosen = evenly(np.arange(len(class_names)), MOST_CLASSES_DRAWN)
    columns, per_class, letters, font = _layout(len(class_names))
    names = drawable_classes(class_names, letters)
    letters = max(len(names[label]) for label in chosen)
    of_all = "" if len(chosen) == len(class_names) else f"{len(chosen)} of "
    rows = math.ceil(len(chosen) / columns)
    label_width = 0.1 + 0.0088 * font * letters  # inches: a letter is about 0.63 of its height wide
    cell = min(0.85, (WIDTH / columns - label_width - 0.1) / per_class)
    figure, canvas = blank_canvas(
        rows * cell, f"What the images look like: {of_all}{count(len(class_names))} classes, {count(len(part))} images"
    )
    for place, label in enumerate(chosen):
        column, row = divmod(place, rows)
        left, top = column * WIDTH / columns, row * cell
        canvas.text(left, top + cell / 2, names[label], va="center", fontsize=font)
        indices = evenly(np.flatnonzero(part.labels == label), per_class)
        if len(indices) == 0:
            canvas.text(left + label_width, top + cell / 2, "no image", va="center", fontsize=font, color=MUTED)
        for number, index in enumerate(indices):
            place_image(canvas, as_shown(part, index), left + label_width + number * cell, top, cell)
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
def class_balance(counts: Mapping[str, np.ndarray], class_names: Sequence[str], width: float = WIDTH) -> Figure:
    """How many images of each class there are; counts: train, val, test -> (C,)."""
    classes, is_wide = len(class_names), width > WIDE
    height = float(np.clip(0.24 * classes, 1.4, 14))
    figure = Figure(figsize=(width, height + 1.1))
    panels = figure.subplots(1, len(counts), sharey=True)
    for axes, (name, numbers) in zip(panels, counts.items(), strict=True):
        bars = axes.barh(np.arange(classes), numbers, color=SLATE, height=0.72)
        axes.set_title((": " if is_wide else "\n").join((name, count(numbers.sum()))))
        axes.set_xlabel("images")
        axes.xaxis.set_major_locator(MaxNLocator(4 if is_wide else 1, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.01)
        if classes <= 30 and is_wide:
            axes.bar_label(bars, [count(number) for number in numbers], padding=3, fontsize=8, color=MUTED)
            axes.margins(x=0.18)
    name_classes(panels[0].yaxis, drawable_classes(class_names, 26 if is_wide else 14), height)
    panels[0].invert_yaxis()
    write_title(figure, balance_sentence(counts["train"], drawable_classes(class_names)))
    return figure


def balance_sentence(counts: np.ndarray, names: Sequence[str]) -> str:
    """How evenly the training images are spread over the classes; counts: (C,)."""
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[least] == 0:
        return f"{names[least]} has no training image"
    ratio = counts[most] / counts[least]
    if ratio < 1.05:
        about = "" if most == least else "about "
        return f"The classes are balanced: {about}{count(round(counts.mean()))} training images each"
    times = f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
    return f"{names[most]} has {times} times as many training images as {names[least]}"
