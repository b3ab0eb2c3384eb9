"""Passes over the images that are tested: each by one network on one split, or by one network a fold.

All that is said of a candidate is said of its passes; a pass on one split is that split's run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.evaluation.race import clearly_behind
from headstart.evaluation.scores import Predictions, Score, evaluate
from headstart.evaluation.statistics import Tested
from headstart.results import runs
from headstart.results.files import json_text
from headstart.results.scores import predictions_of
from headstart.runtime.text import shown


@dataclass(frozen=True, eq=False)
class Pass:
    """Runs of one candidate that test each image once.

    places: of each run, (n,) the places of its test images among the `images` that any run of the comparison tests. A
    candidate that was dropped after some folds has not tested all.
    """

    runs: tuple[runs.Run, ...]
    places: tuple[np.ndarray, ...]
    images: int

    @cached_property
    def tested(self) -> np.ndarray:
        """(n,) the places of the images that it tests, ascending."""
        return np.sort(np.concatenate(self.places))

    @property
    def is_whole(self) -> bool:
        """Whether it tests all images."""
        return len(self.tested) == self.images

    @cached_property
    def network(self) -> np.ndarray:
        """(N,) which of its runs tested each image; -1 where none did."""
        return self._gathered([np.full(len(places), run) for run, places in enumerate(self.places)], -1)

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64; -1 where not tested."""
        return self._gathered([run.predictions()[1] for run in self.runs], -1)

    @cached_property
    def logits(self) -> np.ndarray:
        """(N, C) float32, of each image by the network that tested it; NaN where none did."""
        return self._gathered([run.predictions()[0] for run in self.runs], np.nan)

    @cached_property
    def calibrated(self) -> np.ndarray:
        """(N, C) the logits, divided by the temperature of the network that they come from."""
        found = [predictions_of(run) for run in self.runs]
        return self._gathered([each.logits / each.temperature for each in found], np.nan)

    def predictions(self, places: np.ndarray | None = None) -> Predictions:
        """What it says of the images at these places (None: of all that it tests)."""
        chosen = self.tested if places is None else np.intersect1d(self.tested, places)
        if len(self.runs) == 1:
            return predictions_of(self.runs[0], np.searchsorted(self.places[0], chosen))
        averaged = [run.averaged_logits() for run in self.runs]
        whole = [run.predictions()[0] if each is None else each for run, each in zip(self.runs, averaged, strict=True)]
        names = self.runs[0].predictions()[2]
        return Predictions(
            self.calibrated[chosen], self.labels[chosen], names, 1.0, self._gathered(whole, np.nan)[chosen]
        )

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """Every score that follows from predictions, as `scores.evaluate` gives them; what was measured besides, mean
        over its runs."""
        if len(self.runs) == 1:
            return self.runs[0].metrics
        found = self.predictions()
        scores = evaluate(found.logits, found.labels, found.class_names, averaged=found.averaged)
        return json.loads(json_text(scores))

    def _gathered(self, of_runs: Sequence[np.ndarray], missing: float) -> np.ndarray:
        """(n, ...) of each run, at the places of their images: (N, ...)."""
        gathered = np.full((self.images, *of_runs[0].shape[1:]), missing, of_runs[0].dtype)
        for places, values in zip(self.places, of_runs, strict=True):
            gathered[places] = values
        return gathered


def passes_of(found: Sequence[runs.Run]) -> dict[str, list[Pass]]:
    """Candidate -> its passes: runs in their order, each in the first pass in which its images are not yet tested."""
    passes: dict[str, list[list[runs.Run]]] = {}
    for run in found:
        of_candidate = passes.setdefault(run.candidate, [])
        free = (each for each in of_candidate if not any(np.isin(run.places, other.places).any() for other in each))
        if (place := next(free, None)) is None:
            of_candidate.append(place := [])
        place.append(run)
    return {
        name: [Pass(tuple(each), tuple(run.places for run in each), each[0].images) for each in of_candidate]
        for name, of_candidate in passes.items()
    }


def tested(passes: Sequence[Pass], score: Score, places: np.ndarray, units: np.ndarray) -> Tested:
    """A score of one candidate, image by image, on the images at these places.

    units: (N,) of all images, equal for those that count as one.
    """
    values = np.full((len(passes), passes[0].images), np.nan)
    weights = np.ones(passes[0].images)
    networks = np.full(values.shape, -1)
    before = 0
    for row, each in enumerate(passes):
        chosen = np.intersect1d(each.tested, places)
        said = each.predictions(places)
        assert score.contributions is not None
        values[row, chosen] = score.contributions(said)
        weights[chosen] = score.weights(said.labels)
        networks[row, chosen] = each.network[chosen] + before
        before += len(each.runs)
    return Tested(values[:, places], networks[:, places], units[places], weights[places])


def refuse_copies(found: Sequence[runs.Run]) -> None:
    """Raise HeadstartError where one run lies in the folder twice: it would count as two."""
    first: dict[tuple[str, str, int], runs.Run] = {}
    for run in found:
        if (other := first.setdefault((run.candidate, run.split, run.seed), run)) is not run:
            raise HeadstartError(
                f"{shown(run.folder)} and {shown(other.folder)} are both {run.candidate} on {run.split} with seed "
                f"{run.seed}: take one of them out of the folder"
            )


def refuse_other_labels(passes: Mapping[str, Sequence[Pass]]) -> None:
    """Raise HeadstartError where two passes were tested on different labels."""
    labels = np.full(next(iter(passes.values()))[0].images, -1)
    for each in (each for of_candidate in passes.values() for each in of_candidate):
        known = (labels >= 0) & (each.labels >= 0)
        if not np.array_equal(labels[known], each.labels[known]):
            raise HeadstartError(f"{each.runs[0].folder} was tested on other labels than the runs beside it")
        labels = np.where(each.labels >= 0, each.labels, labels)


def dropped(
    found: Sequence[runs.Run],
    trials: Sequence[Mapping[str, Any]],
    score: Score,
    places: np.ndarray,
    units: np.ndarray,
    probed: Collection[str] = (),
) -> dict[str, int]:
    """Candidate -> after how many folds it is dropped: clearly behind by `score` (`race.clearly_behind`) once all that
    are left have finished as many.

    trials: all that were to be, dicts of candidate and split, folds in their order. places, units: see `tested`.
    probed: candidates that had run on all folds before the others began: of these none is dropped.
    """
    splits = list(dict.fromkeys(trial["split"] for trial in trials))
    left = {(trial["candidate"], trial["split"]) for trial in trials}
    gone: dict[str, int] = {}
    for done in range(1, len(splits)):
        counted = [run for run in found if run.split in splits[:done] and run.candidate not in gone]
        needed = {(name, split) for name, split in left if split in splits[:done] and name not in gone}
        if needed - {(run.candidate, run.split) for run in counted}:
            break
        so_far = passes_of(counted)
        scored = {name: tested(each, score, places, units) for name, each in so_far.items()}
        behind = clearly_behind(scored, len({name for name, _ in left}))
        gone |= dict.fromkeys((name for name in behind if name not in probed), done)
    return gone
