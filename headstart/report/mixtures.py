"""The figure of mixtures: how accurate, and how far still what it was, a network is between two sets of weights."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headstart.errors import HeadstartError
from headstart.report import percent
from headstart.report.drawing import WIDE, WIDTH, colours, markers, marks, styled, write_legend, write_title
from headstart.results.comparison import Comparison

PANELS = {"accuracy": "accuracy on val", "agreement": "images on which the old head agrees"}


@styled
def mixtures(comparison: Comparison, width: float = WIDTH) -> Figure:
    """Accuracy on val, and on what share of test images the old head says the same as before training, against the
    share of the retrained weights; a line a retrained candidate, means over its runs, what was kept ringed."""
    if not comparison.mixtures:
        raise HeadstartError("no network of this comparison was retrained from pre-trained weights: nothing was mixed")
    across = width > WIDE
    figure = Figure(figsize=(width, 3.6 if across else 6.4))
    panels = figure.subplots(*((1, 2) if across else (2, 1)))
    for axes, (key, title) in zip(panels, PANELS.items(), strict=True):
        _lines(axes, comparison, key)
        axes.set_title(title)
        axes.set_xlabel("share of the retrained weights")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    names = list(comparison.mixtures)
    write_legend(figure, names, marks(comparison, names, ms=6, ls="-", mec=None))
    write_title(figure, said(comparison))
    return figure


def _lines(axes: Axes, comparison: Comparison, key: str) -> None:
    for name, found in comparison.mixtures.items():
        known = [row for row in found["rows"] if row[key] is not None]
        shares, values, colour = [row["share"] for row in known], [row[key] for row in known], colours(comparison)[name]
        axes.plot(shares, values, markers(comparison)[name], color=colour, ls="-", lw=1.4, ms=6, label=name)
        kept = [place for place, share in enumerate(shares) if share == found["kept"]]
        axes.plot([shares[at] for at in kept], [values[at] for at in kept], "o", mfc="none", mec=colour, ms=13, mew=1.2)
    axes.set_xticks(shares)
    axes.margins(y=0.12)


def said(comparison: Comparison) -> str:
    """What the best mixture of the candidate that was retrained the best is worth, in a sentence."""
    name = max(comparison.mixtures, key=lambda name: comparison.summary[name]["accuracy"]["mean"])
    rows = comparison.mixtures[name]["rows"]
    best, end = max(rows, key=lambda row: (row["accuracy"], -row["share"])), rows[-1]
    if best is end:
        return f"{name}: no mixture is as accurate on val as its retrained weights, {percent(end['accuracy'], 1)}"
    stays = ""
    if end["agreement"] is not None:
        stays = f"; its old head agrees on {percent(best['agreement'], 0)}, not {percent(end['agreement'], 0)}"
    return (
        f"{name} with {percent(best['share'], 0)} of its retrained weights: {percent(best['accuracy'], 1)} on val, "
        f"with all {percent(end['accuracy'], 1)}{stays}"
    )
