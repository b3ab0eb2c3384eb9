"""The unfreezing curve: what retraining more of a pre-trained network brings, and how far it is still what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from headstart.errors import HeadstartError
from headstart.report import percent
from headstart.report.drawing import (
    WIDE,
    WIDTH,
    are_long,
    colours,
    markers,
    marks,
    styled,
    write_legend,
    write_title,
)
from headstart.report.reading import by_backbone, means_of, retrained_shares, runs_of
from headstart.results.comparison import Comparison
from headstart.results.forgetting import forgetting_of
from headstart.theme import MUTED

# Key of `forgetting_of` -> dashes, face of the mark (None: its colour), name.
KEPT = {
    "agreement": ("-", None, "share of images on which the old head agrees"),
    "cka": (":", "white", "CKA of the final features"),
}
FARTHEST = 1.1  # the right end of the axis of shares
AT_THE_END = 1.07  # where the seeds of a line across have their dots
BESIDE = 0.03  # between two backbones at one share
LONGEST_TICK = 8  # letters of a candidate's name below its share, in the usual size
LINE = 12.0  # points from one name to the next


@styled
def unfreezing(comparison: Comparison, width: float = WIDTH) -> Figure:
    """Accuracy on test against the share of the backbone's layers retrained, with 95 % intervals over the test images
    and a faint dot a seed; candidates from scratch are lines across. Beside it (below it where that is narrow), where
    runs have it: on what share of the images the old head still says the same, and the CKA of the final features."""
    shares = dict(sorted(retrained_shares(comparison).items(), key=lambda each: each[1]))
    if not shares:
        raise HeadstartError("no strategy of this comparison starts pre-trained: there is no unfreezing curve to draw")
    kept = {name: share for name, share in shares.items() if name in comparison.forgetting}
    across, panels = width > WIDE, 2 if kept else 1
    figure = Figure(figsize=(width, 4.4 if across else 0.8 + 3.1 * panels))
    grid: dict[str, Any] = {"width_ratios": [1.35, 1][:panels]} if across else {"height_ratios": [1.35, 1][:panels]}
    accuracy, *others = figure.subplots(*((1, panels) if across else (panels, 1)), squeeze=False, **grid).flat
    _accuracy(accuracy, comparison, shares)
    for axes in others:
        _kept(axes, comparison, kept)
    names = list(colours(comparison))
    for axes, of_panel in ((accuracy, shares), *((axes, kept) for axes in others)):
        _share_axis(axes, of_panel, comparison, are_long(names))
    keys = _keys() if kept else []
    write_title(figure, _finding(comparison, shares))
    if are_long(names):
        handles = [*(_key(comparison, name, name in shares) for name in names), *keys]
        write_legend(figure, [*names, *(str(key.get_label()) for key in keys)], handles)
    else:
        if keys:
            figure.legend(handles=keys, loc="outside lower right", ncols=2 if across else 1)
        _name_lines(figure, accuracy, comparison, [name for name in names if name not in shares])
    return figure


def _key(comparison: Comparison, name: str, is_pretrained: bool) -> Line2D:
    """The mark of a candidate, or the dashes of one from scratch."""
    (mark,) = marks(comparison, [name], ms=7)
    return mark if is_pretrained else Line2D([], [], color=colours(comparison)[name], ls="--", lw=1.2)


def _places(comparison: Comparison, shares: Mapping[str, float]) -> dict[str, float]:
    """Candidate -> where it stands on the axis of shares: those on several backbones beside each other."""
    groups = by_backbone(comparison, shares)
    offsets = {name: BESIDE * (place - (len(groups) - 1) / 2) for place, names in enumerate(groups) for name in names}
    return {name: share + offsets[name] for name, share in shares.items()}


def _accuracy(axes: Axes, comparison: Comparison, shares: Mapping[str, float]) -> None:
    places = _places(comparison, shares)
    means = {name: row["accuracy"] for name, row in means_of(comparison).items()}
    for names in by_backbone(comparison, shares):
        axes.plot([places[name] for name in names], [means[name] for name in names], color=MUTED, lw=1.2, zorder=1)
    for name, colour in colours(comparison).items():
        seeds = [row["accuracy"] for row in comparison.rows if row["candidate"] == name]
        if name not in shares:
            axes.axhline(means[name], color=colour, lw=1.2, ls="--", zorder=1)
            _dots(axes, AT_THE_END, seeds, colour)
            continue
        low, high = (comparison.summary[name]["accuracy"][end] for end in ("low", "high"))
        axes.errorbar(places[name], (low + high) / 2, (high - low) / 2, color=colour, lw=1.4, capsize=5)
        _dots(axes, places[name], seeds, colour)
        axes.plot(places[name], means[name], markers(comparison)[name], color=colour, ms=7, mec="white", mew=0.8)
    axes.set_title("accuracy on test, with 95 % intervals")
    axes.margins(y=0.1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _kept(axes: Axes, comparison: Comparison, shares: Mapping[str, float]) -> None:
    """What the networks still share with what they were; without a value there is no mark."""
    places = _places(comparison, shares)
    seeds = {name: [found for run in runs_of(comparison, name) if (found := forgetting_of(run))] for name in shares}
    for key, (dashes, face, _) in KEPT.items():
        means = {name: value for name in shares if (value := comparison.forgetting[name][key]) is not None}
        for names in by_backbone(comparison, means):
            heights = [means[name] for name in names]
            axes.plot([places[name] for name in names], heights, color=MUTED, lw=1.2, ls=dashes, zorder=1)
        for name, mean in means.items():
            colour = colours(comparison)[name]
            _dots(axes, places[name], [value for each in seeds[name] if (value := each[key]) is not None], colour)
            look: dict[str, Any] = {"color": colour, "mfc": face or colour, "mew": 1.4}
            axes.plot(places[name], mean, markers(comparison)[name], ms=6.5, **look)
    axes.set_title("what stays of the original: 1 is all")
    axes.set_ylim(-0.04, 1.06)


def _dots(axes: Axes, share: float, seeds: Sequence[float], colour: str) -> None:
    """A faint dot for each of several seeds."""
    if len(seeds) > 1:
        axes.plot([share] * len(seeds), seeds, ".", color=colour, alpha=0.45, ms=7)


def _keys() -> list[Line2D]:
    return [
        Line2D([], [], color=MUTED, ls=dashes, marker="o", mfc=face or MUTED, label=name)
        for dashes, face, name in KEPT.values()
    ]


def _share_axis(axes: Axes, shares: Mapping[str, float], comparison: Comparison, has_legend: bool) -> None:
    """Shares of the layers, each with the names of its candidates unless a legend has them; one that stands alone has
    its colour."""
    axes.set_xlim(-0.1, FARTHEST)
    axes.set_xlabel("share of the backbone's layers retrained")
    if has_legend:
        apart = sorted(set(shares.values()))
        axes.set_xticks(apart, [percent(share, 0) for share in apart])
        return
    names: dict[float, list[str]] = {}
    for name, share in shares.items():
        names.setdefault(share, []).append(name)
    axes.set_xticks(list(names), ["\n".join([percent(share, 0), *those]) for share, those in names.items()])
    axes.tick_params(axis="x", labelsize=9 if max(map(len, shares)) <= LONGEST_TICK else 7.5)
    for label, those in zip(axes.get_xticklabels(), names.values(), strict=True):
        if len(those) == 1:
            label.set_color(colours(comparison)[those[0]])


def _name_lines(figure: Figure, axes: Axes, comparison: Comparison, names: Sequence[str]) -> None:
    """Name the lines across at their right ends, no two names nearer than a line of text."""
    means = means_of(comparison)
    labels: list[tuple[float, Annotation]] = []
    for name in sorted(names, key=lambda name: means[name]["accuracy"]):
        height = means[name]["accuracy"]
        look: dict[str, Any] = {"va": "center", "color": colours(comparison)[name], "fontsize": 9}
        at = axes.get_yaxis_transform()
        label = axes.annotate(name, (1, height), (5, 0), xycoords=at, textcoords="offset points", **look)
        labels.append((height, label))
    figure.draw_without_rendering()  # the layout leaves room for them; where the lines have come to lie is known then
    last = float("-inf")
    for height, label in labels:
        line = float(axes.transData.transform((0, height))[1]) * 72 / figure.dpi
        last = max(line, last + LINE)
        label.xyann = (5, last - line)


def _finding(comparison: Comparison, shares: Mapping[str, float]) -> str:
    means = means_of(comparison)
    best = max(shares, key=lambda name: means[name]["accuracy"])
    found = f"{best} is the most accurate that starts pre-trained: {percent(means[best]['accuracy'])}"
    agreement = comparison.forgetting.get(best, {}).get("agreement")
    if agreement is None or not shares[best]:
        return found
    return f"{found}; its old head agrees on {percent(agreement, 0)} of the images"
