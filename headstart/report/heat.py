"""Where the networks looked: the test images of the galleries with a heat map over each.

Made once, while data and weights are at hand; the page needs neither, nor torch, which is imported here when it is
used.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from headstart.data.dataset import Rows
from headstart.errors import HeadstartError
from headstart.report.confusion import Gallery
from headstart.report.reading import network_of
from headstart.results.comparison import Comparison
from headstart.runtime.console import say

Heats = dict[tuple[str, int, int], np.ndarray]


def warmed(comparison: Comparison, galleries: Iterable[Gallery], images: np.ndarray | Rows) -> Heats:
    """(candidate, test image, class it said) -> that image as the network that said it saw it, (S, S, 3) uint8, warm
    where it looked.

    images: (N, H, W, 3) uint8, those of test. A finished comparison never fails for want of a heat map: where the
    package is missing, or a network has no maps, there are none, and one line says so.
    """
    if find_spec("pytorch_grad_cam") is None:
        say("the report has no heat maps: pip install 'headstart[explain]' brings what they need")
        return {}
    wanted: dict[tuple[str, Path], dict[tuple[int, int], None]] = {}  # each once, in order
    for gallery in galleries:
        for it in gallery.shots:
            run = network_of(comparison, gallery.candidate, it.seed, it.image)
            wanted.setdefault((gallery.candidate, run.folder), {})[it.image, it.taken] = None
    found: Heats = {}
    missing: dict[str, str] = {}
    for (candidate, folder), shots in wanted.items():
        try:
            found |= _of_network(candidate, folder, list(shots), images)
        except Exception as error:  # another's code, on any backbone of timm: hours of training are not lost over it
            missing[candidate] = str(error) if isinstance(error, HeadstartError) else repr(error)
    if missing:
        say(f"the report has no heat maps of {', '.join(missing)}: {'; '.join(dict.fromkeys(missing.values()))}")
    return found


def _of_network(candidate: str, folder: Path, shots: list[tuple[int, int]], images: np.ndarray | Rows) -> Heats:
    from headstart.inference.classifier import Classifier
    from headstart.inference.explain import blend, heatmaps

    classifier = Classifier.load(folder)
    pixels = np.stack([classifier.square(images[image]) for image, _ in shots])
    maps = heatmaps(classifier, pixels, [taken for _, taken in shots])
    return {(candidate, *shot): blend(*pair) for shot, *pair in zip(shots, pixels, maps, strict=True)}
