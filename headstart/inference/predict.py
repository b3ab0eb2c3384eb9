"""`headstart predict`: photos of any number, size and state -> a row each, read beside the network's work."""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from threading import Condition
from typing import Any, Protocol

import numpy as np
import pandas as pd
from joblib import cpu_count
from scipy.special import softmax

from headstart.data.decode import TOO_LARGE, size_of
from headstart.data.findings import counted
from headstart.data.photos import Photos, photos_in
from headstart.data.pixels import Picture
from headstart.errors import HeadstartError
from headstart.inference.answers import UNLIKE, UNSURE, Answer, answers_in, refuse_output, table_of, written_for
from headstart.inference.classifier import Classifier
from headstart.inference.exported import Exported
from headstart.inference.novelty import Novelty
from headstart.inference.quickest import Quickest
from headstart.inference.sorting import sort_into
from headstart.inference.unsure import Sureness, sureness
from headstart.results.comparison import chosen_run
from headstart.results.files import sha256
from headstart.runtime.console import bar, say
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import shown
from headstart.values import given, path, share

BATCH = 32  # photos that are classified at once
AHEAD = 128  # photos that are read before they are classified
IN_FLIGHT = 50_000_000  # pixels that are decoded at once: a larger photo waits for the others, then has all of it


class Predictor(Protocol):
    """A classifier as photos are given to it, whatever it is kept in."""

    class_names: tuple[str, ...]
    fingerprint: str  # SHA-256 of the file that it is kept in

    @property
    def engine_name(self) -> str:
        """What runs it."""

    def square(self, picture: Picture) -> np.ndarray:
        """A photo as it is given to `probabilities`: (S, S, 3) uint8. HeadstartError for what is no image."""

    def probabilities(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (N, C) float32 of squares (N, S, S, 3) uint8, and (N,) whether one is unlike training's."""

    def sureness(self, accuracy: float) -> Sureness:
        """See `unsure.sureness`."""


class Trained:
    """The classifier of a run, in fp32: so it says what was measured of it. photos: how many it is to classify."""

    def __init__(self, folder: Path, photos: int = 0):
        self.run = chosen_run(folder)
        self.classifier = Classifier.load(folder)
        self.class_names = self.classifier.class_names
        self.fingerprint = sha256(self.run.model)
        self.square = self.classifier.square
        self.novelty = Novelty.of(self.run)
        said = self.novelty.limit.said if self.novelty else None
        say(said or f"{shown(self.run.folder)} cannot tell photos unlike training's")
        self.engine = Quickest(self.classifier, self.fingerprint, photos)

    @property
    def engine_name(self) -> str:
        """See `Predictor`."""
        return self.engine.name

    def probabilities(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Predictor`."""
        logits, features = self.outputs(squares)
        unlike = self.novelty.flags(features)[0] if self.novelty else np.zeros(len(squares), bool)
        return self.calibrated(logits), unlike

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities (N, C) of logits (N, C)."""
        return softmax(logits / self.classifier.temperature, axis=1)

    def outputs(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, C) and features (N, D), float32, of squares (N, S, S, 3) uint8."""
        return self.engine(squares)

    def sureness(self, accuracy: float) -> Sureness:
        """See `Predictor`."""
        return sureness(self.run, accuracy, self.classifier.temperature)


@dataclass(frozen=True)
class Predicted:
    """answers: a row a photo, in the order given. sureness: what makes some of them unsure, where that was asked.
    engine: what ran the network. seconds: of reading and classifying, for the `new` ones: the others were known."""

    answers: Sequence[Answer]
    photos: Photos
    sureness: Sureness | None
    engine: str
    seconds: float
    new: int

    @property
    def unreadable(self) -> int:
        """How many photos could not be read."""
        return sum(each.is_unreadable for each in self.answers)

    @property
    def said(self) -> str:
        """All of it counted, in a line."""
        unsure, unlike = (sum(each.doubt == doubt for each in self.answers) for doubt in (UNSURE, UNLIKE))
        sure = len(self.answers) - unsure - unlike - self.unreadable
        parts = [f"{counted(len(self.answers), 'photo')}: {sure:,} answered"]
        parts += [f"{unsure:,} unsure"] if self.sureness else []
        parts += [f"{unlike:,} {UNLIKE}"] if unlike else []
        parts += [f"{self.unreadable:,} unreadable"] if self.unreadable else []
        parts += [f"{len(self.answers) - self.new:,} of them known before"] if self.new < len(self.answers) else []
        aside = [f"{times:,} {why}" for why, times in self.photos.aside.most_common()]
        parts += [f"left aside: {', '.join(aside)}"] if aside else []
        pace = f" ({self.new / self.seconds:,.1f} a second by {self.engine})" if self.new else ""
        return "; ".join(parts) + pace

    def table(self) -> pd.DataFrame:
        """A row a photo: see `Answer`."""
        return table_of(self.answers)

    def as_json(self) -> dict[str, Any]:
        """What `headstart predict --json` prints: docs/json.md."""
        return {
            "answers": [asdict(each) for each in self.answers],
            "unreadable": self.unreadable,
            "aside": dict(self.photos.aside),
            "sureness": self.sureness and self.sureness.as_json(),
            "engine": self.engine,
        }


def predict(
    run: str | PathLike[str],
    photos: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    accuracy: float | str | None = None,
    follow_links: bool = False,
) -> pd.DataFrame:
    """Classify photos: a row each, in the order given, with the columns path, label, probability, second,
    second_probability, third, third_probability and doubt.

    run: a comparison's folder, which stands for the classifier that it recommends, one run's, or an exported file.
    photos: files and folders, "@FILE" for a list. accuracy: how often answers are to be right; the others have the
    doubt "unsure". A photo that cannot be read has no label, and the reason as doubt. Raises HeadstartError where there
    is no classifier.
    """
    names = [photos] if isinstance(photos, str | PathLike) else photos
    return predict_files(run, names, accuracy=accuracy, follow_links=follow_links).table()


def predict_files(
    run: str | PathLike[str],
    names: Iterable[str | PathLike[str]],
    *,
    output: Path | None = None,
    resume: bool = False,
    accuracy: float | str | None = None,
    into: Path | None = None,
    copy: bool = False,
    follow_links: bool = False,
) -> Predicted:
    """Classify photos as `predict` does; write a row each to `output` where it is given, and sort them `into` a folder
    a class. What cannot be done as asked is told before the first photo is read."""
    wanted = None if accuracy is None else given("accuracy", accuracy, share)
    if output is None and resume:
        raise HeadstartError("--resume goes on with a file of answers: name it with --output")
    if into is None and copy:
        raise HeadstartError("--copy is of --sort-into: name its folder")
    if output is not None:
        refuse_output(output, resume)
    if into is not None:
        if os.path.lexists(into) and not into.is_dir():
            raise HeadstartError(f"{shown(into)} is no folder: name another one with --sort-into")
        refuse_unwritable(into, "name another folder with --sort-into")
    results = (*(written_for(output) if output else ()), *([into] if into else []))
    photos = photos_in(names, follow_links, results)
    for line in photos.notices:
        say(line)
    if not photos.paths:
        raise HeadstartError(
            "there is no photo in what was named" + "".join(f"; {each}" for each in photos.notices[:1])
        )
    predictor = open_predictor(given("run", run, path), len(photos.paths))
    sure = None if wanted is None else predictor.sureness(wanted)
    for line in sure.said if sure else ():
        say(line)
    about = {"classifier": predictor.fingerprint, "class_names": list(predictor.class_names), "accuracy": wanted}
    started, new = time.perf_counter(), 0
    with nullcontext() if output is None else answers_in(output, about, resume) as file:
        known = {place: answer for place, photo in enumerate(photos.paths) if file and (answer := file.known(photo))}
        wanted_places = [place for place in range(len(photos.paths)) if place not in known]
        with bar("classifying photos", len(wanted_places)) as advance:
            paths = [photos.paths[place] for place in wanted_places]
            for some in answered(predictor, paths, sure.least if sure else 0.0):
                if file:
                    file.add(some)
                known |= dict(zip(wanted_places[new : new + len(some)], some, strict=True))
                new += len(some)
                advance(len(some))
        answers = [known[place] for place in range(len(photos.paths))]
        done = Predicted(answers, photos, sure, predictor.engine_name, time.perf_counter() - started, new)
        if file:
            facts = done.as_json()
            del facts["answers"]
            file.write(answers, run=str(run), photos=len(answers), **facts)
    if into is not None:
        sort_into(into, list(zip(photos.paths, answers, strict=True)), predictor.class_names, copy)
    return done


def open_predictor(run: Path, photos: int) -> Predictor:
    """What classifies so many photos, from a comparison, a run or an exported file."""
    return Exported(run) if run.is_file() else Trained(run, photos)


def answered(predictor: Predictor, photos: Sequence[Path], least: float) -> Iterator[list[Answer]]:
    """Answers to all photos in their order, some at a time; those below a probability of `least` are unsure.

    Threads read photos while others are classified: AHEAD of them at most, and no more than IN_FLIGHT pixels at once,
    so that memory does not grow with the number of photos, nor with their size beyond that of the largest.
    """
    for some in batches(zip(photos, squares(predictor, photos), strict=True)):
        readable = [square for _, square in some if isinstance(square, np.ndarray)]
        said = iter(zip(*predictor.probabilities(np.stack(readable)), strict=True) if readable else ())
        yield [
            Answer(shown(photo), doubt=square)
            if isinstance(square, str)
            else Answer.of(photo, predictor.class_names, *next(said), least)
            for photo, square in some
        ]


def batches(squares: Iterable[tuple[Path, np.ndarray | str]]) -> Iterator[list[tuple[Path, np.ndarray | str]]]:
    """So many at a time that they can be classified at once: BATCH, of one shape."""
    waiting: list[tuple[Path, np.ndarray | str]] = []
    shapes: set[tuple[int, ...]] = set()
    for photo, square in squares:
        shape = {square.shape} if isinstance(square, np.ndarray) else set()
        if waiting and (len(waiting) == BATCH or len(shapes | shape) > 1):
            yield waiting
            waiting, shapes = [], set()
        waiting.append((photo, square))
        shapes |= shape
    if waiting:
        yield waiting


def squares(predictor: Predictor, photos: Sequence[Path]) -> Iterator[np.ndarray | str]:
    """Each photo as the predictor takes it, in their order, or why it cannot be read."""
    room = _Room(IN_FLIGHT)
    reading: deque[Future[np.ndarray | str]] = deque()
    with _no_warnings():
        threads = ThreadPoolExecutor(cpu_count())
        try:
            for photo in photos:
                if len(reading) == AHEAD:
                    yield reading.popleft().result()
                reading.append(threads.submit(_square, predictor, photo, room))
            while reading:
                yield reading.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def _square(predictor: Predictor, photo: Path, room: _Room) -> np.ndarray | str:
    width, height = size_of(photo) or (0, 0)
    with room.of(width * height):
        try:
            return predictor.square(photo)
        except HeadstartError as error:
            return str(error).removeprefix(f"{shown(photo)}: ")
        except MemoryError:
            return TOO_LARGE


class _Room:
    """Lets threads in as long as what they take together is no more than `most`, and any one that is alone."""

    def __init__(self, most: int):
        self.most, self.taken, self.left = most, 0, Condition()

    @contextmanager
    def of(self, amount: int) -> Iterator[None]:
        """While a thread takes so much."""
        with self.left:
            self.left.wait_for(lambda: not self.taken or self.taken + amount <= self.most)
            self.taken += amount
        try:
            yield
        finally:
            with self.left:
                self.taken -= amount
                self.left.notify_all()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Decoding hides warnings by a filter of the whole process, which threads would put back for each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
