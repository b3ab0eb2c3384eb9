"""Below which probability an answer is unsure, so that the others are as often right as was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headstart.errors import HeadstartError
from headstart.evaluation.calibration import fit_temperature
from headstart.evaluation.selective import (
    CONFIDENCE,
    Answered,
    Judged,
    answered_above,
    best_accuracy,
    threshold,
)
from headstart.evaluation.statistics import Interval
from headstart.results import runs
from headstart.results.passes import passes_of
from headstart.runtime.text import shown

KEPT = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)  # accuracies that exported files know of
TINY = 1e-30  # no probability is 0: its logarithm is wanted
OUT_OF_FOLD = "the images that each fold's network had not seen"


@dataclass(frozen=True)
class Sureness:
    """asked: how often answers are to be right. least: the probability below which they are unsure. chosen_by: the
    images that it was chosen by, in words, and what they say of it. test: what other images say; None without any."""

    asked: float
    least: float
    chosen_by: str
    chosen: Answered
    test: Answered | None

    @property
    def said(self) -> list[str]:
        """In sentences."""
        chosen = self.chosen
        lines = [
            f"For {100 * self.asked:g} % right, answers below a probability of {100 * self.least:.2f} % are unsure: by "
            f"{chosen.images:,} images ({self.chosen_by}), of which {100 * chosen.share:.1f} % are answered, with "
            f"{100 * CONFIDENCE:g} % confidence."
        ]
        if self.test is None:
            return [*lines, "There are no other images to check that on."]
        lines.append(f"Checked on test: {100 * self.test.share:.1f} % of {self.test.images:,} images are answered")
        if found := self.test.accuracy:
            lines[-1] += f", and {100 * found.value:.2f} % of those are right (95 % interval {100 * found.low:.2f} to "
            lines[-1] += f"{100 * found.high:.2f} %)"
        return [*lines[:-1], f"{lines[-1]}."]

    def as_json(self) -> dict[str, Any]:
        """As it is kept beside answers."""
        parts = {"chosen": self.chosen, "test": self.test}
        found = {name: part and asdict(part) | {"share": part.share} for name, part in parts.items()}
        return {"asked": self.asked, "least": self.least, "confidence": CONFIDENCE, "by": self.chosen_by, **found}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Sureness:
        """From what `as_json` gave."""
        chosen, test = (part and _answered(part) for part in (kept["chosen"], kept["test"]))
        return cls(kept["asked"], kept["least"], kept["by"], chosen, test)


@dataclass(frozen=True)
class _Known:
    """What is known of answers: judged, which thresholds are chosen by, is of the images in the words `by`; test, of
    others, only checks them."""

    by: str
    judged: Judged
    test: Judged | None

    @classmethod
    def of(cls, run: runs.Run, temperature: float | None) -> _Known:
        """Of a run's classifier: val; after folds, what each fold's network said of what it had not seen."""
        if not run.images:  # it was tested on none
            logits, labels = _out_of_fold(run)
            return cls(OUT_OF_FOLD, Judged.of(logits, labels, temperature or fit_temperature(logits, labels)), None)
        temperature = temperature or fit_temperature(*run.predictions("val")[:2])
        val, test = (Judged.of(*run.predictions(part)[:2], temperature) for part in ("val", "test"))
        return cls("val", val, test)

    @property
    def thresholds(self) -> list[Sureness]:
        """`sureness` for those of KEPT that can be shown, the lowest first."""
        return [found for accuracy in KEPT if (found := self.sureness(accuracy))]

    def sureness(self, accuracy: float) -> Sureness | None:
        """What makes answers right so often; None where the images cannot show it."""
        least = threshold(self.judged, accuracy)
        if least is None:
            return None
        test = None if self.test is None else answered_above(self.test, least)
        return Sureness(accuracy, least, self.by, answered_above(self.judged, least), test)


def sureness(run: runs.Run, accuracy: float, temperature: float) -> Sureness:
    """What makes the answers of a run's classifier right as often as `accuracy`.

    Chosen by its val; for a classifier that was trained on all images after folds, by what the folds' networks said of
    images that they had not seen. Test chooses nothing. Raises HeadstartError, with the best that can be reached, where
    those images cannot show it, and where the run's predictions are missing.
    """
    known = _Known.of(run, temperature)
    found = known.sureness(accuracy)
    if found is None:
        raise HeadstartError(
            f"--accuracy {100 * accuracy:g}%: {len(known.judged):,} images ({known.by}) cannot show that, whatever is "
            f"left unsure; what they can show is {100 * best_accuracy(known.judged):.1f}% at best"
        )
    return found


def thresholds(run: runs.Run, temperature: float | None) -> list[Sureness]:
    """`sureness` for those of KEPT that can be shown, the lowest first; temperature: None for the one that suits the
    images that it is chosen by. Raises HeadstartError where the run's predictions are missing."""
    return _Known.of(run, temperature).thresholds


def thresholds_of(val: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> list[Sureness]:
    """The same of probabilities (N, C) that a file gave of images, and their labels (N,): chosen by val, checked on
    test."""
    return _Known("val", *(Judged.of(np.log(said + TINY), labels) for said, labels in (val, test))).thresholds


def _answered(kept: Mapping[str, Any]) -> Answered:
    accuracy = kept["accuracy"]
    return Answered(kept["images"], kept["answered"], accuracy and Interval(**accuracy))


def _out_of_fold(run: runs.Run) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of each image once, by the first pass: the repetitions of the same images show no more of other
    ones."""
    beside = [each for each in runs.find_runs(run.folder.parent) if each.candidate == run.candidate]
    if not beside:
        raise HeadstartError(
            f"{shown(run.folder)} was trained on all images, and the runs of its folds are not beside it: --accuracy "
            "needs what they said"
        )
    found = passes_of(beside)[run.candidate][0]
    return found.logits[found.tested], found.labels[found.tested]
