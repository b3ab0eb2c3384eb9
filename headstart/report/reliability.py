"""Whether strategies are as often right as they say, before and after calibration, as a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from headstart.comparison import Comparison
from headstart.evaluation.calibration import Reliability, fit_temperature, reliability
from headstart.report import percent
from headstart.report.drawing import WIDE, WIDTH, colours, markers, styled, write_title
from headstart.report.reading import runs_of, strategies
from headstart.report.theme import FRONT

LEAST_IMAGES = 10  # of a bin whose accuracy is worth a mark
PANELS = {"as trained": 0, "calibrated on val": 1}


@styled
def reliability_diagram(comparison: Comparison, width: float = WIDTH) -> Figure:
    """How often a strategy is right (its first seed, on test) where it is so sure: as trained, and calibrated."""
    found = {name: _before_and_after(comparison, name) for name in strategies(comparison)}
    across = width > WIDE
    figure = Figure(figsize=(width, 4.4 if across else 7.4))
    panels = figure.subplots(*((1, 2) if across else (2, 1)), sharex=True, sharey=True)
    for axes, (title, place) in zip(panels, PANELS.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=FRONT, lw=1, ls=":")
        for name, colour in colours(comparison).items():
            bins = found[name][place]
            held = bins.count >= LEAST_IMAGES
            axes.plot(
                bins.confidence[held],
                bins.accuracy[held],
                marker=markers(comparison)[name],
                ms=5,
                lw=1.4,
                color=colour,
                label=name,
            )
        axes.set_title(title)
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: percent(value, 0))
        axes.set_xlabel("how sure it was")
    for axes in panels[:1] if across else panels:
        axes.set_ylabel("how often it was right")
    columns = len(found) if across else 2
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)
    worst = max(found, key=lambda name: found[name][0].error)
    before, after = (percent(each.error, 1) for each in found[worst])
    write_title(figure, f"Calibration takes the error of {worst}'s confidence from {before} to {after}")
    return figure


def _before_and_after(comparison: Comparison, strategy: str) -> tuple[Reliability, Reliability]:
    run = runs_of(comparison, strategy)[0]
    logits, labels, _ = run.predictions()
    temperature = fit_temperature(*run.predictions("val")[:2])
    before, after = (softmax(logits.astype(np.float64) / each, axis=1) for each in (1.0, temperature))
    return reliability(before, labels), reliability(after, labels)
