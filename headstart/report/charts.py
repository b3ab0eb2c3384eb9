"""The figures with the words around them: for the page wide and narrow, as SVG; when all runs are there, as files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

from headstart.data.dataset import PARTS
from headstart.evaluation.scores import FIGURE, shown_in
from headstart.report import duration, figures, images, percent
from headstart.report.drawing import NARROW, WIDTH, png, svg
from headstart.report.mixtures import mixtures
from headstart.report.reading import candidates, means_of, retrained_shares
from headstart.report.reliability import reliability_diagram
from headstart.report.unfreezing import unfreezing
from headstart.results import runs
from headstart.results.comparison import Comparison
from headstart.results.files import write_bytes
from headstart.results.pictures import Pictures


@dataclass(frozen=True)
class Chart:
    """A figure that follows light and dark and the width of the page: the same twice, of which the page shows one."""

    name: str
    heading: str
    caption: str
    wide: Markup
    narrow: Markup


@dataclass(frozen=True)
class Picture:
    """A figure as pixels; `source` is the PNG as a data URI."""

    name: str
    heading: str
    caption: str
    alt: str
    source: str


RESULTS: dict[str, tuple[Callable[[Comparison, float], Figure], str, str]] = {  # name -> how to draw, caption, words
    "accuracy_vs_time": (
        figures.accuracy_vs_time,
        "Higher is more accurate, further left is quicker to fit. The dotted line is the Pareto front: what lies below "
        "it is beaten by a candidate that is no slower.",
        "Scatter plot of accuracy on test against time to fit. Accuracy: {scores}. Time: {times}.",
    ),
    "curves": (
        figures.curves,
        "Dashed is train, augmented and as met since the point before; solid is val, which training never sees. A gap "
        "that widens is overfitting. The weights kept are those of the ringed epoch. Losses include label smoothing: "
        "compare them within a row; accuracies share an axis.",
        "Line charts of loss and accuracy on train and val over the epochs, a row a candidate.",
    ),
    "metrics": (
        figures.metrics,
        "Every panel has the same axis. Where classes are equally many the scores nearly agree; where they are not, "
        "precision, recall and F1 give a rare class the weight of a common one.",
        "Dot plot of {names} of each candidate. Accuracy: {scores}.",
    ),
    "class_scores": (
        figures.class_scores,
        "Precision: of those called the class, the share that is. Recall: of those that are the class, the share "
        "called it. F1 is low where either is. The numbers are in the table below.",
        "Dot plot of precision, recall and F1 of each class. The table below has the numbers.",
    ),
    "reliability": (
        reliability_diagram,
        "On the dotted line a network is as often right as it says; below it, it is too sure. Calibration divides all "
        "logits by one number, fitted on val; which class is named does not change.",
        "Line charts of accuracy against confidence, a line a candidate, as trained and calibrated.",
    ),
}


def result_charts(comparison: Comparison) -> dict[str, Chart]:
    """What was measured: accuracy against time, learning curves, scores."""
    means = means_of(comparison)
    names = ", ".join(score.short for score in shown_in(FIGURE))
    scores = "; ".join(f"{name} {percent(row['accuracy'])}" for name, row in means.items())
    times = "; ".join(f"{name} {duration(row['fit_seconds'])}" for name, row in means.items())
    return {
        name: _chart(
            name,
            partial(draw, comparison),
            caption,
            words.format(names=names, scores=scores, times=times),
            _file(comparison, name),
        )
        for name, (draw, caption, words) in RESULTS.items()
    }


def unfreezing_chart(comparison: Comparison) -> Chart | None:
    """Accuracy and forgetting against the share retrained, where two candidates or more start pre-trained."""
    shares, means = retrained_shares(comparison), means_of(comparison)
    if len(shares) < 2:
        return None
    told = {
        name: f"{percent(share, 0)} retrained, accuracy {percent(means[name]['accuracy'])}"
        for name, share in shares.items()
    }
    for name, forgotten in comparison.forgetting.items():
        told[name] += f", old head agrees on {percent(forgotten['agreement'], 1)}"
    scratch = "".join(
        f" From scratch: {name} {percent(row['accuracy'])}." for name, row in means.items() if name not in shares
    )
    return _chart(
        "unfreezing",
        partial(unfreezing, comparison),
        "Bars are 95 % intervals over the test images, faint dots are seeds; dashed lines are networks from scratch. "
        "Shares are as asked for: the backbone is cut at the nearest block. Strategies differ in their recipes too.",
        f"Line chart of accuracy on test against the share of the backbone's layers retrained. "
        f"{'; '.join(f'{name}: {words}' for name, words in told.items())}.{scratch}",
        _file(comparison, "unfreezing"),
    )


def mixtures_chart(comparison: Comparison) -> Chart | None:
    """Retrained networks mixed with what they were, where there are any."""
    if not comparison.mixtures:
        return None
    told = "; ".join(
        f"{name}: " + ", ".join(f"{percent(row['share'], 0)} {percent(row['accuracy'])}" for row in found["rows"])
        for name, found in comparison.mixtures.items()
    )
    return _chart(
        "mixtures",
        partial(mixtures, comparison),
        "Every weight is mixed: so much of the retrained one, the rest of the one it came from, under a head trained "
        "for that. Right is the network as it was retrained, left as it was before. What is ringed was kept; --wise "
        "keeps the best on val.",
        f"Line chart of accuracy on val against the share of the retrained weights. {told}.",
        _file(comparison, "mixtures"),
    )


def balance_chart(comparison: Comparison, pictures: Pictures) -> Chart:
    """How many images of each class there are; its PNG was written when the data was at hand."""
    counts = dict(zip(PARTS, pictures.counts, strict=True))
    return _chart(
        "class_balance",
        lambda width: images.class_balance(counts, comparison.dataset["class_names"], width),
        "A class with few images is learned from few examples, and its score rests on few test images.",
        "Bar charts of the number of images of each class in train, val and test.",
    )


def _file(comparison: Comparison, name: str) -> Path | None:
    """Where a figure's PNG is to be; None while runs are to come, after each of which all figures are drawn again."""
    if not comparison.is_complete:
        return None
    (folder := comparison.folder / runs.FIGURES).mkdir(exist_ok=True)
    return folder / f"{name}.png"


def _chart(name: str, draw: Callable[[float], Figure], caption: str, words: str, path: Path | None = None) -> Chart:
    figure = draw(WIDTH)
    if path is not None:
        write_bytes(path, png(figure))
    heading = figure.get_suptitle()
    drawn = []
    for each, ids in ((figure, name), (draw(NARROW), f"{name}-narrow")):
        each.suptitle("")  # the page has it as a heading
        drawn.append(Markup(svg(each, ids, words)))  # of matplotlib's making, which escapes its text
    return Chart(name, heading.replace("\n", " ").replace(r"\$", "$"), caption, *drawn)


def confusion_pictures(comparison: Comparison) -> dict[str, Picture]:
    """Candidate -> its confusion matrix as pixels; writes the PNG of each, too."""
    folder = comparison.folder / runs.FIGURES
    folder.mkdir(exist_ok=True)
    pictures = {}
    for name in candidates(comparison):
        figure = figures.confusion(comparison, name)
        write_bytes(path := folder / f"confusion_{name}.png", png(figure))
        passes = len(comparison.passes[name])
        summed = f" Counts are summed over {passes} passes." if passes > 1 else ""
        pictures[name] = picture(
            path,
            name,
            f"A row is a true class, a column what it was taken for. The diagonal is right.{summed}",
            f"Confusion matrix of {name} on the test images.",
        )
    return pictures


def data_pictures(comparison: Comparison) -> list[Picture]:
    """Samples and class balance as the run folder has them, where it lacks what newer ones keep."""
    folder = comparison.folder / runs.FIGURES
    found = [
        (folder / images.SAMPLES, "Training images", "Taken evenly from each class, not chosen.", "Training images."),
        (folder / images.BALANCE, "Images of each class", "", "Bar charts of the number of images of each class."),
    ]
    return [picture(path, *words) for path, *words in found if path.exists()]


def picture(path: Path, heading: str, caption: str, alt: str) -> Picture:
    """A PNG file as the page has it."""
    return Picture(path.stem, heading, caption, alt, data_uri(path.read_bytes(), "png"))


def data_uri(content: bytes, kind: str) -> str:
    """An image within the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
