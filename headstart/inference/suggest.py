"""Which photos to label next: those that a classifier would learn most from, no two of them alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.data.dataset import digest_of
from headstart.data.photos import photos_in
from headstart.errors import HeadstartError
from headstart.inference.answers import Answer
from headstart.inference.predict import Trained, batches, squares
from headstart.results.files import write_table
from headstart.runtime.console import bar, say
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import shown
from headstart.values import given, path, whole_number

SUGGESTIONS = Path("suggest.csv")


@dataclass(frozen=True)
class Suggested:
    """answers: of the photos to label, the first one first. squares: (n, S, S, 3) uint8, each as the network saw it.
    output: the CSV that is to be filled in. unreadable, copies: photos that could not be suggested."""

    answers: list[Answer]
    squares: list[np.ndarray]
    output: Path
    unreadable: int
    copies: int

    @property
    def said(self) -> str:
        """In a line."""
        aside = [f"{self.copies:,} exact copies of others"] if self.copies else []
        aside += [f"{self.unreadable:,} unreadable"] if self.unreadable else []
        return f"{len(self.answers):,} photos to label: fill in the column label of {shown(self.output)}" + (
            f"; left aside: {', '.join(aside)}" if aside else ""
        )


def suggest(
    run: str | PathLike[str],
    names: Iterable[str | PathLike[str]],
    count: int,
    output: Path = SUGGESTIONS,
    follow_links: bool = False,
) -> Suggested:
    """Choose photos by `chosen`, and write a CSV of them: path, label (empty), guess, probability, doubt.

    run, names: as `predict` takes them. Paths are absolute, so that the CSV can be moved. Of exact copies one can be
    chosen. Raises HeadstartError where nothing can be written or read.
    """
    count = given("suggest", count, whole_number)
    if output.suffix.lower() != ".csv" or output.exists():
        raise HeadstartError(f"{shown(output)}: suggestions are written to a new file that ends in .csv")
    refuse_unwritable(output, "name another output")
    photos = photos_in(names, follow_links).paths
    predictor = Trained(given("run", run, path))
    found: dict[str, tuple[Answer, Path, np.ndarray]] = {}  # by content, so that a copy is there once
    said, features, unreadable, copies = [], [], 0, 0
    with bar("looking at photos", len(photos)) as advance:
        for some in batches(zip(photos, squares(predictor, photos), strict=True)):
            new: list[tuple[str, Path, np.ndarray]] = []
            for photo, square in some:
                if isinstance(square, str):
                    unreadable += 1
                    say(f"{shown(photo)}: {square}")
                elif (digest := digest_of(square)) in found or digest in {each for each, _, _ in new}:
                    copies += 1
                else:
                    new.append((digest, photo, square))
            if new:
                logits, seen = predictor.outputs(np.stack([square for _, _, square in new]))
                unlike = predictor.novelty.flags(seen)[0] if predictor.novelty else np.zeros(len(new), bool)
                probabilities = predictor.calibrated(logits)
                for row, (digest, photo, square) in enumerate(new):
                    answer = Answer.of(photo, predictor.class_names, probabilities[row], bool(unlike[row]), 0.0)
                    found[digest] = answer, photo, square
                said.append(probabilities)
                features.append(seen)
            advance(len(some))
    if not found:
        raise HeadstartError(f"of {len(photos):,} photos none can be read: there is nothing to suggest")
    kept = list(found.values())
    rows = chosen(np.concatenate(features), np.concatenate(said), count)
    answers = [kept[row][0] for row in rows]
    table = pd.DataFrame(
        {
            "path": [str(kept[row][1].resolve()) for row in rows],
            "label": "",
            "guess": [each.label for each in answers],
            "probability": [each.probability for each in answers],
            "doubt": [each.doubt for each in answers],
        }
    )
    write_table(output, table)
    return Suggested(answers, [kept[row][2] for row in rows], output, unreadable, copies)


def chosen(features: np.ndarray, probabilities: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """(min(count, N),) rows of features (N, D) and probabilities (N, C) whose labels would move the last layer most, in
    different directions.

    Each image stands for the gradient of its loss if its likeliest class were true, which is long where the network is
    unsure; k-means++ draws images far from each other among them. Ash et al. 2020, "Deep Batch Active Learning by
    Diverse, Uncertain Gradient Lower Bounds" (BADGE, arXiv 1906.03671). The gradients, (N, C x D), are never made.
    """
    draw = np.random.default_rng(seed)
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    values = features.astype(np.float32)
    lengths = (errors**2).sum(axis=1) * (values**2).sum(axis=1)
    rows, gaps = [int(lengths.argmax())], np.full(len(values), np.inf)
    while len(rows) < min(count, len(values)):
        last = rows[-1]
        products = (errors @ errors[last]) * (values @ values[last])
        gaps = np.minimum(gaps, np.maximum(lengths + lengths[last] - 2 * products, 0))
        gaps[rows] = 0
        left = np.setdiff1d(np.arange(len(values)), rows)
        weight = gaps[left] if gaps[left].sum() > 0 else np.ones(len(left))
        rows.append(int(draw.choice(left, p=weight / weight.sum())))
    return np.array(rows)
