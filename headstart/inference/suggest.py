"""Which photos to label next: those that a classifier would learn most from, no two of them alike."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.data.dataset import Dataset, Split, collection_of, digest_of
from headstart.data.duplicates import near_duplicates, together
from headstart.data.photos import photos_in
from headstart.errors import HeadstartError
from headstart.inference.answers import Answer, refuse_no_folder
from headstart.inference.classifier import UNKNOWN_SQUARE
from headstart.inference.predict import Trained, batches, squares
from headstart.results.files import write_table
from headstart.runtime.console import bar, say
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import shown
from headstart.values import given, path, whole_number

SUGGESTIONS, SHEET = Path("suggest.csv"), ".png"  # and what shows them


@dataclass(frozen=True)
class Suggested:
    """answers: of the photos to label, the first one first. squares: (n, S, S, 3) uint8, each as the network saw it.
    output: the CSV that is to be filled in. aside: how many photos could not be suggested, by why."""

    answers: list[Answer]
    squares: list[np.ndarray]
    output: Path
    aside: Mapping[str, int]

    @property
    def said(self) -> str:
        """In a line."""
        aside = [f"{count:,} {why}" for why, count in self.aside.items() if count]
        return f"{len(self.answers):,} photos to label: fill in the column label of {shown(self.output)}" + (
            f"; left aside: {', '.join(aside)}" if aside else ""
        )


@dataclass(frozen=True)
class _Photos:
    """What is known of N readable photos of different content: paths, answers, squares (S, S, 3) uint8, features (D,)
    and probabilities (C,), an entry each. exact, unreadable: how many others are copies of them, or no photos."""

    paths: list[Path]
    answers: list[Answer]
    squares: list[np.ndarray]
    features: list[np.ndarray]
    probabilities: list[np.ndarray]
    exact: int
    unreadable: int


def suggest(
    run: str | PathLike[str],
    names: Iterable[str | PathLike[str]],
    count: int,
    output: Path = SUGGESTIONS,
    follow_links: bool = False,
) -> Suggested:
    """Choose photos by `chosen`, and write a CSV of them: path, label (empty), guess, probability, doubt.

    run, names: as `predict` takes them. Paths are absolute, so that the CSV can be moved. Of copies, exact ones and
    near ones, the first alone can be chosen. Raises HeadstartError where nothing can be written or read.
    """
    count = given("suggest", count, whole_number)
    sheet = output.with_suffix(SHEET)
    if output.suffix.lower() != ".csv" or os.path.lexists(output):
        raise HeadstartError(f"{shown(output)}: suggestions are written to a new file that ends in .csv")
    if os.path.lexists(sheet):
        raise HeadstartError(f"{shown(sheet)} is there already, and is to show the photos: name another output")
    refuse_no_folder(output)
    refuse_unwritable(output, "name another output")
    given_photos = photos_in(names, follow_links)
    paths = [each for each in given_photos.paths if _is_text(each)]
    for line in given_photos.notices:
        say(line)
    predictor = Trained(given("run", run, path))
    if not predictor.classifier.sides:
        raise HeadstartError(UNKNOWN_SQUARE)
    photos = _looked_at(predictor, paths)
    if not photos.paths:
        raise HeadstartError(f"of {len(given_photos.paths):,} photos none can be suggested: see what was said of them")
    first = first_of_copies(np.stack(photos.squares), [str(each.label) for each in photos.answers])
    features, probabilities = (np.stack(each)[first] for each in (photos.features, photos.probabilities))
    rows = first[chosen(features, probabilities, count)].tolist()
    answers = [photos.answers[row] for row in rows]
    table = pd.DataFrame(
        {
            "path": [str(photos.paths[row].resolve()) for row in rows],
            "label": "",
            "guess": [each.label for each in answers],
            "probability": [each.probability for each in answers],
            "doubt": [each.doubt for each in answers],
        }
    )
    write_table(output, table)
    near = len(photos.paths) - len(first)
    aside = {"exact copies of others": photos.exact, "near-copies": near, "unreadable": photos.unreadable}
    aside["of names that are no text"] = len(given_photos.paths) - len(paths)
    return Suggested(answers, [photos.squares[row] for row in rows], output, aside)


def _is_text(photo: Path) -> bool:
    """Whether a CSV can name a photo; where not, that is said."""
    try:
        str(photo.resolve()).encode()
    except UnicodeEncodeError:
        say(f"{shown(photo)}: a CSV cannot hold this name, which is no text: rename it")
        return False
    return True


def _looked_at(predictor: Trained, paths: Sequence[Path]) -> _Photos:
    """Every photo classified, those of one content once."""
    seen: set[str] = set()
    found, exact, unreadable = _Photos([], [], [], [], [], 0, 0), 0, 0
    with bar("looking at photos", len(paths)) as advance:
        for some in batches(zip(paths, squares(predictor, paths), strict=True)):
            new: list[tuple[Path, np.ndarray]] = []
            for photo, square in some:
                if isinstance(square, str):
                    unreadable += 1
                    say(f"{shown(photo)}: {square}")
                elif (digest := digest_of(square)) in seen:
                    exact += 1
                else:
                    seen.add(digest)
                    new.append((photo, square))
            if new:
                _classify(predictor, new, found)
            advance(len(some))
    return replace(found, exact=exact, unreadable=unreadable)


def _classify(predictor: Trained, photos: Sequence[tuple[Path, np.ndarray]], found: _Photos) -> None:
    """Add photos, with their squares, to those that were found."""
    logits, features = predictor.outputs(np.stack([square for _, square in photos]))
    unlike = predictor.novelty.flags(features)[0] if predictor.novelty else np.zeros(len(photos), bool)
    for (photo, square), said, flag, feature in zip(
        photos, predictor.calibrated(logits), unlike, features, strict=True
    ):
        found.paths.append(photo)
        found.answers.append(Answer.of(photo, predictor.class_names, said, bool(flag), 0.0))
        found.squares.append(square)
        found.features.append(feature)
        found.probabilities.append(said)


def first_of_copies(images: np.ndarray, guesses: Sequence[str]) -> np.ndarray:
    """(M,) rows of images (N, S, S, 3) uint8: of those that are near-duplicates of each other the first, and all that
    have none.

    What tells them from pictures that are merely alike is whether labels differ (`near_duplicates`): here guesses.
    """
    rows, none = np.arange(len(images)), np.arange(0)
    names, labels = np.unique(guesses, return_inverse=True)
    about = ("photos", images, labels, tuple(names.tolist()), (Split("all", rows, none, none),), "photos to label")
    photos = Dataset(*about, collection=collection_of("photos", "to label"))
    return np.unique(together(photos, near_duplicates(photos).rows), return_index=True)[1]


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
