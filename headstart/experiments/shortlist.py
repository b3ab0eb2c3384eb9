"""The short list of pre-trained networks as this machine sees it: which weights are here, how long a pass takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headstart.experiments.trial import pretrained, weights_of
from headstart.models.backbones import EFFICIENTNET_LITE0, load_backbone, weights_here
from headstart.networks import FREE, LISTED, SIZES, Listed
from headstart.runtime.device import make_fabric, settings_kept
from headstart.runtime.download import hub_answers

HERE, HUB, NO = "here", "hub", "no"  # where weights are: on this machine, to be fetched, out of reach now
HEADER = ("network", "M", "G", "top-1", "licence", "weights", "pass")


@dataclass(frozen=True)
class Seen:
    """A row of the short list on this machine. weights: HERE, HUB or NO. pass_seconds: estimated, of a frozen pass over
    the images that were asked about, each seen once."""

    row: Listed
    weights: str
    pass_seconds: float

    def as_json(self) -> dict[str, Any]:
        """docs/json.md."""
        return {**asdict(self.row), "weights": self.weights, "pass_seconds": self.pass_seconds}


def shortlist(images: int, device: str = "auto", offline: bool = False) -> list[Seen]:
    """Every row of the list, the cheapest pass first, for so many images. offline: ask no hub."""
    rate = measured_rate(device)
    fetchable = HUB if not offline and hub_answers() else NO
    return [
        Seen(row, HERE if weights_here(row.name) else fetchable, images * row.multiply_adds / rate)
        for row in LISTED.values()
    ]


def measured_rate(device: str) -> float:
    """Thousand million multiply-adds a second that this machine's quickest engine made of the network whose weights
    come with the installation; measured once a machine."""
    with settings_kept():
        weights = weights_of(load_backbone(EFFICIENTNET_LITE0, offline=True), None, True)
        shape = (weights.image_size, weights.image_size, 3)
        found = pretrained(weights, (1.0,), shape, make_fabric(device).device)
        return LISTED[EFFICIENTNET_LITE0].multiply_adds / found.engine()["image_seconds"]


def lines(seen: Sequence[Seen], images: int) -> list[str]:
    """As a terminal of 80 columns shows it."""
    cells = [HEADER, *(_cells(each) for each in seen)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = (1, 2, 3, 6)  # numbers
    table = [
        " ".join(f"{text:{'>' if place in right else '<'}{widths[place]}}" for place, text in enumerate(row)).rstrip()
        for row in cells
    ]
    sizes = ", ".join(f"{size} = {name}" for size, name in SIZES.items())
    return [
        *table,
        "",
        "M: million parameters; G: thousand million multiply-adds an image; top-1: % on",
        "ImageNet; weights: here, on the hub (to be fetched), or no: out of reach now.",
        f"pass: frozen, over {images:,} images on this machine, each seen once; estimated",
        "from G and the pace of Lite0: dense networks take less, some others more.",
        f"Licences other than {', '.join(FREE[:3])} ask for a look before",
        "commercial use. --backbone takes any other name of timm's as well, and",
        *(f"  {each}" for each in sizes.split(", ")),
    ]


def _cells(each: Seen) -> tuple[str, ...]:
    row = each.row
    top1 = "" if row.top1 is None else f"{100 * row.top1:.1f}"
    numbers = (f"{row.parameters:.1f}", f"{row.multiply_adds:.2f}", top1)
    return (row.name, *numbers, row.licence, each.weights, _time(each.pass_seconds))


def _time(seconds: float) -> str:
    """To two or three figures, in six letters: an estimate is worth no more."""
    for size, limit, unit in ((86_400, 359_000, "d"), (3600, 5970, "h"), (60, 99.5, "min")):
        if seconds >= limit:
            return f"{seconds / size:,.{int(seconds < 9.5 * size)}f} {unit}"
    return f"{seconds:.{int(seconds < 9.5)}f} s"
