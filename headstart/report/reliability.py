"""Whether candidates are as often right as they say, before and after calibration, as a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from headstart.evaluation.calibration import Reliability, reliability
from headstart.report import percent
from headstart.report.drawing import WIDE, WIDTH, colours, markers, marks, styled, write_legend, write_title
from headstart.report.reading import candidates
from headstart.results.comparison import Comparison
from headstart.results.passes import Pass
from headstart.theme import FRONT

LEAST_IMAGES = 10  # of a bin whose accuracy is worth a mark
PANELS = {"as trained": 0, "calibrated on val": 1}


@styled
def reliability_diagram(comparison: Comparison, width: float = WIDTH) -> Figure:
    """How often a candidate is right on test where it is so sure: as trained, and calibrated. Its first pass has marks,
    further ones are faint lines."""
    found = {name: [_before_and_after(each) for each in passes] for name, passes in comparison.passes.items()}
    across = width > WIDE
    figure = Figure(figsize=(width, 4.4 if across else 7.4))
    panels = figure.subplots(*((1, 2) if across else (2, 1)), sharex=True, sharey=True)
    for axes, (title, place) in zip(panels, PANELS.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=FRONT, lw=1, ls=":")
        for name, colour in colours(comparison).items():
            first, *others = (seed[place] for seed in found[name])
            axes.plot(*_held(first), marker=markers(comparison)[name], ms=5, lw=1.4, color=colour, label=name)
            for seed in others:
                axes.plot(*_held(seed), lw=1, color=colour, alpha=0.45)
        axes.set_title(title)
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: percent(value, 0))
        axes.set_xlabel("confidence")
    for axes in panels[:1] if across else panels:
        axes.set_ylabel("accuracy")
    drawn = candidates(comparison)
    write_legend(figure, drawn, marks(comparison, drawn, ms=5, ls="-", mec=None))
    errors = {name: np.mean([[each.error for each in seed] for seed in seeds], axis=0) for name, seeds in found.items()}
    worst = max(errors, key=lambda name: errors[name][0])
    before, after = (percent(error, 1) for error in errors[worst])
    write_title(figure, f"Calibration takes the error of {worst}'s confidence from {before} to {after}")
    return figure


def _held(bins: Reliability) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and accuracy of the bins that hold enough images."""
    held = bins.count >= LEAST_IMAGES
    return bins.confidence[held], bins.accuracy[held]


def _before_and_after(each: Pass) -> tuple[Reliability, Reliability]:
    tested = each.tested
    before, after = (softmax(logits[tested].astype(np.float64), axis=1) for logits in (each.logits, each.calibrated))
    return reliability(before, each.labels[tested]), reliability(after, each.labels[tested])
