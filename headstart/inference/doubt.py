"""When not to answer, as exported files, pages and the demo know it: what is kept of a run for it, and the words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import safe_open

from headstart.errors import HeadstartError
from headstart.evaluation.novelty import threshold
from headstart.inference.answers import UNLIKE, UNSURE
from headstart.inference.novelty import Limit, Novelty
from headstart.inference.unsure import Sureness, thresholds, thresholds_of
from headstart.results import runs
from headstart.results.files import reading

PAGES = (0.99, 0.95, 0.9)  # the accuracies of which a page asks one
MOST_UNSURE = 0.5  # of the images that thresholds are chosen by: a page asks less before it leaves more unanswered


@dataclass(frozen=True)
class Doubts:
    """sureness: what makes answers as often right as is asked, for some accuracies, the lowest first. limit: beyond
    which a picture is unlike training's; None where the run cannot tell."""

    sureness: tuple[Sureness, ...] = ()
    limit: Limit | None = None

    @classmethod
    def of(cls, run: runs.Run) -> Doubts:
        """Those of a run's classifier, as far as they can be known."""
        novelty = Novelty.of(run)
        try:
            known = thresholds(run, _temperature(run))
        except HeadstartError:  # a run without predictions, that of a fold's without its fellows
            known = []
        return cls(tuple(known), None if novelty is None else novelty.limit)

    @classmethod
    def of_file(
        cls, val: tuple[tuple[np.ndarray, ...], np.ndarray], test: tuple[tuple[np.ndarray, ...], np.ndarray]
    ) -> Doubts:
        """Those of an exported file, by what it says itself of images of val and of test, and their labels (N,):
        probabilities (N, C), features and, where it knows them, distances (N,)."""
        known = thresholds_of(*((said[0], labels) for said, labels in (val, test)))
        far, tested = (said[2].reshape(-1) if said[2:] else np.empty(0) for said, _ in (val, test))
        if not len(far):
            return cls(tuple(known))
        farthest = threshold(far)
        return cls(tuple(known), Limit(farthest, len(far), float((tested > farthest).mean())))

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Doubts:
        """From what `as_json` gave; of an older headstart's file, which keeps nothing of it, none."""
        known, limit = kept.get("sureness", ()), kept.get("novelty")
        return cls(tuple(map(Sureness.from_json, known)), limit and Limit(**limit))

    def as_json(self) -> dict[str, Any]:
        """As an exported file keeps it."""
        return {
            "sureness": [each.as_json() for each in self.sureness],
            "novelty": self.limit and self.limit.as_json(),
        }

    def promising(self, accuracy: float) -> Sureness:
        """The least strict one that promises an accuracy; HeadstartError, with the best there is, where none does."""
        found = next((each for each in self.sureness if each.asked >= accuracy), None)
        if found is None:
            best = f"at most {100 * self.sureness[-1].asked:g}%" if self.sureness else "none"
            raise HeadstartError(f"--accuracy {100 * accuracy:g}%: of the accuracies that the file can promise {best}")
        return found

    @property
    def of_page(self) -> Sureness | None:
        """That of the highest of PAGES which leaves no more than MOST_UNSURE unanswered; where all do, of the lowest of
        them; None where none can be promised."""
        known = [each for asked in PAGES for each in self.sureness if each.asked == asked]
        answering = (each for each in known if each.chosen.share >= 1 - MOST_UNSURE)
        return next(answering, known[-1] if known else None)

    @property
    def facts(self) -> dict[str, Any]:
        """What a page's script goes by, JSON."""
        least, farthest = self.of_page and self.of_page.least, self.limit and self.limit.threshold
        words = {"unsure": self.said.get(UNSURE), "unlike": self.said.get(UNLIKE)}
        return {"least": least, "farthest": farthest, **words}

    @property
    def said(self) -> dict[str, str]:
        """What a page says of a picture, by its doubt; of those that can be known."""
        unsure = {UNSURE: f"Unsure: below {_floored(self.of_page.least)}."} if self.of_page else {}
        return unsure | ({UNLIKE: "Unlike the pictures that it was trained on."} if self.limit else {})

    def of_picture(self, probabilities: np.ndarray, unlike: bool) -> list[str]:
        """`said` of the one with probabilities (C,)."""
        is_so = {UNSURE: self.of_page and probabilities.max() < self.of_page.least, UNLIKE: unlike}
        return [words for doubt, words in self.said.items() if is_so[doubt]]

    @property
    def explained(self) -> list[str]:
        """What a page says of its doubts, in sentences."""
        lines = []
        if sure := self.of_page:
            line = f"Answers below {_floored(sure.least)} are marked unsure, so that of the others at least "
            line += f"{100 * sure.asked:g} % are right"
            if sure.test and sure.test.accuracy:
                right, share = 100 * sure.test.accuracy.value, 100 * sure.test.share
                lines.append(f"{line}: on test pictures {right:.1f} %, of the {share:.1f} % that it answers.")
            else:
                lines.append(f"{line}; it answers {100 * sure.chosen.share:.1f} % of the pictures that showed that.")
        if self.limit:
            false = self.limit.false_flags
            line = "Pictures unlike any in training are marked, though by no means all"
            lines.append(f"{line}." if false is None else f"{line}; falsely, {100 * false:.1f} % of test pictures are.")
        return lines


def _temperature(run: runs.Run) -> float | None:
    """What a run's classifier divides logits by; None where its weights are gone."""
    if not runs.has_model(run.folder):
        return None
    with reading(run.model), safe_open(run.model, "numpy") as tensors:
        return float(tensors.get_tensor(runs.TEMPERATURE))


def _floored(share: float) -> str:
    return f"{math.floor(10_000 * share) / 100:g} %"
