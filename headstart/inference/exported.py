"""A classifier as an exported file has it, in the place of a run's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headstart.data.pixels import Picture, as_seen, image_of
from headstart.data.ranges import OF_TYPES
from headstart.errors import HeadstartError
from headstart.inference.doubt import Doubts
from headstart.inference.formats import FORMATS, format_of, open_file
from headstart.inference.unsure import Sureness
from headstart.results.files import sha256
from headstart.runtime.console import say
from headstart.runtime.text import shown


class Exported:
    """A `predict.Predictor` of a file that `headstart export` wrote: the file alone is needed, neither run nor weights.

    Its graph takes photos of any size, but those of one batch have one shape: each is brought into the first of its
    squares before, by the very function that training used, and the graph leaves a square of that size as it is. What
    an older headstart wrote neither flags photos unlike training's nor knows what is unsure.
    """

    def __init__(self, file: Path):
        self._run, about = open_file(file)
        format = FORMATS[format_of(file)]
        self.file, self.engine_name = file, format.engine
        self.fingerprint = "".join(map(sha256, format.files(file)))
        self.class_names = tuple(about["class_names"])
        self.whites, self.sides, self.fit = OF_TYPES | about["whites"], about["sides"], about["fit"]
        self.doubts = Doubts.from_json(about["predict"])
        say(self.doubts.limit.said if self.doubts.limit else f"{shown(file)} cannot tell photos unlike training's")

    def square(self, picture: Picture) -> np.ndarray:
        """See `predict.Predictor`."""
        return as_seen(image_of(picture, self.whites), self.sides[:1], self.fit)

    def probabilities(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `predict.Predictor`."""
        probabilities, _, *distances = self._run(squares)
        limit = self.doubts.limit
        return probabilities, distances[0] > limit.threshold if limit and distances else np.zeros(len(squares), bool)

    def sureness(self, accuracy: float) -> Sureness:
        """That of the least accuracy which the file knows and that is no less; HeadstartError where there is none."""
        if not self.doubts.sureness:
            raise HeadstartError(f"{shown(self.file)} keeps no thresholds: for --accuracy name its run's folder")
        return self.doubts.promising(accuracy)
