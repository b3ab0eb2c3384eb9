"""How the house draws: one style, one colour and marker a candidate, and where things are placed."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar
from xml.etree import ElementTree

import numpy as np
import seaborn as sns
from matplotlib import rc_context, style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from headstart import theme
from headstart.errors import HeadstartError
from headstart.report import duration
from headstart.report.lettering import broken, families, measured
from headstart.report.reading import candidates
from headstart.results.comparison import Comparison
from headstart.theme import EDGE, GRID, INK, MUTED

WIDTH = 9.0  # inches; at 10 points of type this reads well on a page and on a slide
NARROW = 4.1  # inches: on a phone
WIDE = 6.0  # inches: below that, a figure has fewer labels
DPI = 160
TIME_TICKS = [number * unit for unit in (1, 60, 3600) for number in (1, 2, 5, 10, 30)]  # seconds

NAMED = re.compile(r"^#(.+)$|url\(#(.+?)\)")  # an id that an element asks for
SHAPES = ("use", "path")  # elements of an SVG that take their style from what they stand in
LONGEST_LABEL = 14  # letters of a name that has room beside its mark
LEGEND_POINTS, LEGEND_ROW = 9.0, 0.17  # inches
SMALLEST_LABEL = 0.08  # inches a line
# Points from the mark; the first free one is taken.
LABEL_PLACES = [
    (0, 15, "center"),
    (0, -15, "center"),
    (10, 0, "left"),
    (-10, 0, "right"),
    (0, 28, "center"),
    (0, -28, "center"),
]  # points from the mark

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the house's look, whatever the user's own matplotlib settings are, and leave those alone. Raises
    HeadstartError where what is to be drawn is a comparison, and something else is given."""
    of_comparison = "comparison" in signature(draw).parameters

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        if of_comparison and args and not isinstance(args[0], Comparison):
            raise HeadstartError(f"comparison: {type(args[0]).__name__} is no Comparison")
        with style.context(["default", _style()]):
            return draw(*args, **kwargs)

    return styled


@cache
def _style() -> dict[str, Any]:
    return {
        **sns.axes_style("whitegrid"),
        "font.family": families(),
        "font.size": 10,
        "text.color": INK,
        "axes.edgecolor": EDGE,
        "axes.labelcolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "grid.color": GRID,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.08,  # inches
        "figure.constrained_layout.w_pad": 0.1,
    }


@styled
def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


@styled
def svg(figure: Figure, name: str, words: str) -> str:
    """The figure as an <svg> to stand in a page: its colours follow light and dark, its text is text.

    name: goes before its ids, of which a page may hold each but once. words: for those who do not see it.
    """
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for element in list(root.iter()):
        for child in list(element):
            if child.tag.endswith(("}metadata", "}style")):  # of no use, or meant for all of the page
                element.remove(child)
        element.tag = element.tag.rpartition("}")[2]  # HTML knows <svg> by its name
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update({key: _of_page(key, value, name) for key, value in attributes.items()})
    values = (value for element in root.iter() for value in element.attrib.values())
    asked = {it[1] or it[2] for value in values for it in NAMED.finditer(value)}
    for element in root.iter():
        _lighten(element, asked)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": words})
    return ElementTree.tostring(root, encoding="unicode")


def _lighten(element: ElementTree.Element, asked: Collection[str]) -> None:
    """Take from an element of an SVG what no eye can see: of ten candidates in five folds, half of the page. asked: the
    ids that are of use."""
    if element.get("id") not in asked:
        element.attrib.pop("id", None)
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for key in ("d", "x", "y"):
        if key in element.attrib:
            element.set(key, " ".join(re.sub(r"-?\d+\.\d+", _rounded, element.attrib[key]).split()))
    looks = {(child.tag, child.get("style")) for child in element}
    if len(element) > 1 and len(looks) == 1 and element.tag == "g" and "style" not in element.attrib:
        ((tag, style),) = looks
        if tag in SHAPES and style:  # of all marks of a candidate, once
            element.set("style", style)
            for child in element:
                del child.attrib["style"]
    if element.tag != "text":
        element.text = None
    element.tail = None


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _of_page(key: str, value: str, name: str) -> str:
    """An attribute's value as the page has it."""
    if key == "id":
        return f"{name}-{value}"
    if key in ("href", "clip-path"):
        return value.replace("#", f"#{name}-")
    if key == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)  # those of this machine: the page names its own
        return re.sub(r"#[0-9a-f]{6}\b", lambda colour: theme.VARIABLE.get(colour[0], colour[0]), value)
    return value


def colours(comparison: Comparison) -> dict[str, str]:
    """Candidate -> its colour, the same in every figure, on the page and on the slides."""
    return {name: theme.PALETTE[colour][0] for name, (colour, _) in _looks(comparison).items()}


def markers(comparison: Comparison) -> dict[str, str]:
    """Candidate -> its marker, which says what its colour says."""
    return {name: marker for name, (_, marker) in _looks(comparison).items()}


def _looks(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Those that the candidates have beside all that were asked for, so that they stay when the others come."""
    names = candidates(comparison)
    found = theme.looks([*comparison.asked, *names])
    return {name: found[name] for name in names}


def blank_canvas(height: float, title: str) -> tuple[Figure, Axes]:
    """A figure of `height` inches below its title, and axes whose unit is the inch and whose origin is top left."""
    figure = Figure(figsize=(WIDTH, height + 0.5))
    figure.set_layout_engine("none")
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set(xlim=(-0.1, WIDTH - 0.1), ylim=(height + 0.1, -0.4))
    canvas.axis("off")
    canvas.text(0, -0.2, title, va="center", fontsize=13, fontweight="bold")
    return figure, canvas


def place_image(canvas: Axes, pixels: np.ndarray, left: float, top: float, cell: float) -> None:
    """One image (H, W, 3), whole and undistorted, in a square cell of a canvas."""
    height, width = pixels.shape[:2]
    scale = 0.94 * cell / max(height, width)
    margin_x, margin_y = (cell - scale * width) / 2, (cell - scale * height) / 2
    extent = (left + margin_x, left + cell - margin_x, top + cell - margin_y, top + margin_y)
    canvas.imshow(np.asarray(pixels), extent=extent, aspect="auto")


def evenly(values: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of `values`, evenly spread and in their order."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def are_long(names: Collection[str]) -> bool:
    """Whether names have no room beside their marks: a legend names them then."""
    return max(map(len, names)) > LONGEST_LABEL


def write_legend(figure: Figure, names: Sequence[str], handles: Sequence[Artist]) -> None:
    """Name candidates below a figure, as many side by side as have room; it grows by what they take, so that its panels
    keep their size."""
    width = figure.get_figwidth()
    inches = 0.65 + max(measured(name, LEGEND_POINTS) for name in names)
    columns = max(1, min(len(names), int((width - 0.3) / inches)))
    rows = math.ceil(len(names) / columns)
    figure.set_figheight(figure.get_figheight() + (rows - 1) * LEGEND_ROW)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=LEGEND_POINTS)


def marks(comparison: Comparison, names: Sequence[str], **look: Any) -> list[Line2D]:
    """The mark of each of these candidates, for a legend."""
    own, shapes = colours(comparison), markers(comparison)
    usual = {"ls": "", "mec": "white"}
    return [Line2D([], [], color=own[name], marker=shapes[name], **usual | look) for name in names]


def panel_title(axes: Axes, name: str, what: str, inches: float, most: float, **look: Any) -> None:
    """Head a panel of `inches` with a candidate and what is drawn of it: on one line where that has room in `most`
    points or a little less, else below each other."""
    whole = f"{name}: {what}"
    if measured(whole, most, bold=True) <= inches:
        axes.set_title(whole, fontsize=most, **look)
        return
    points = min(most, 8.0)
    axes.set_title(f"{broken(name, inches, points, bold=True)}:\n{what}", fontsize=points, **look)


def write_title(figure: Figure, finding: str) -> None:
    """Head a figure with a sentence, from the left edge; a page takes it from there as its own heading."""
    figure.suptitle(
        textwrap.fill(finding, int(9.6 * figure.get_figwidth()), break_on_hyphens=False),
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="bold",
    )


def name_classes(axis: Axis, names: Sequence[str], inches: float, offset: float = 0) -> None:
    """Drawable names as tick labels over `inches`: smaller where they are many, every k-th where they are too many."""
    step = math.ceil(len(names) * SMALLEST_LABEL / inches)
    points = 0.72 * 72 * inches * step / len(names)  # a letter fills about 0.72 of its line
    axis.set_ticks((np.arange(0, len(names), step) + offset).tolist(), names[::step])
    axis.set_tick_params(labelsize=float(np.clip(points, 4.5, 9)), labelcolor=INK)


def time_axis(axes: Axes, seconds: Collection[float]) -> None:
    """An x axis of durations; logarithmic where the slowest takes over three times as long as the quickest."""
    if min(seconds) > 0 and max(seconds) > 3 * min(seconds):
        axes.set_xscale("log")
        axes.set_xlabel("time to fit (logarithmic)")
        axes.xaxis.set_major_locator(FixedLocator(TIME_TICKS))
        axes.xaxis.set_minor_locator(NullLocator())  # a new scale brings its own
    else:
        axes.set_xlim(0, 1.25 * max(seconds) or 1)
        axes.set_xlabel("time to fit")
    axes.xaxis.set_major_formatter(lambda value, _: duration(value))


def label_points(
    axes: Axes, points: Mapping[str, Point], lines: Sequence[tuple[Point, Point]], colour_of: Mapping[str, str]
) -> None:
    """Name each point, at the place around it that points, lines and earlier names cover least, within the axes."""
    scale = axes.figure.dpi / 72  # pixels a point of type
    low, high = axes.bbox.get_points() / scale
    room: Box = (*low, *high)

    def around(start: Point, end: Point, margin: float) -> Box:
        corners = axes.transData.transform([start, end]) / scale
        return (*(corners.min(axis=0) - margin), *(corners.max(axis=0) + margin))

    taken = [around(point, point, 7) for point in points.values()] + [around(*line, 1) for line in lines]

    def covered(box: Box) -> float:
        return sum(_overlap(box, each) for each in taken) + _overlap(box, box) - _overlap(box, room)

    for name, at in points.items():
        point = axes.transData.transform(at) / scale
        size = (7.2 * len(name), 12)
        place = min(LABEL_PLACES, key=lambda place: covered(_box(point, size, place)))
        taken.append(_box(point, size, place))
        look: dict[str, Any] = {"ha": place[2], "va": "center", "color": colour_of[name], "fontweight": "bold"}
        axes.annotate(name, at, place[:2], textcoords="offset points", **look)


def _box(point: np.ndarray, size: tuple[float, float], place: tuple[int, int, str]) -> Box:
    left = point[0] + place[0] - size[0] * {"left": 0, "center": 0.5, "right": 1}[place[2]]
    bottom = point[1] + place[1] - size[1] / 2
    return left, bottom, left + size[0], bottom + size[1]


def _overlap(a: Box, b: Box) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
