"""Whether an exported file says of images what the classifier says, and what was measured of it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import softmax

from headstart.data.dataset import Images, Subset
from headstart.data.findings import counted
from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier
from headstart.inference.formats import Run
from headstart.inference.novelty import Novelty
from headstart.results import runs
from headstart.results.scores import LEAST_AGREEMENT
from headstart.runtime.console import bar

BATCH = 32  # images that the file is given at once
LATENCY_REPEATS = 20
LOST = 0.005  # of accuracy, at most, by the classifier in fp32 beside what was measured in another precision
ALLOWED = 1e-3  # difference of a probability between the file and the classifier; or twice its rounding
SHAPES = ((300, 60), (70, 210), (97, 101))  # height and width of photos that no data set keeps


@dataclass(frozen=True)
class Parity:
    """What came of a comparison of an exported file.

    images: how many. measured: whether with predictions.npz, else with the classifier alone. agreement: the share of
    images of which the classifier itself, in fp32, says what was measured; lost: how much less accurate it is in fp32
    than was measured. differ: of how many the file's class is
    another one. noise: the margin between an image's two first classes up to which arithmetic may decide: twice
    what a probability of the classifier differs from the one that was measured (by another engine, in another
    precision), and rounding. beyond: how many of those that differ have a larger one. largest_difference: of a
    probability, between the file and the classifier in fp32, over all images; of_shapes: over photos of other shapes;
    of_measured: between the file and what was measured; allowed: at most. latency_ms: an image, the median of 20.
    flagged: how many the file flags as unlike training's, and flags_differ: of how many it does otherwise than was
    measured; None where that was not.
    """

    images: int
    measured: bool
    agreement: float
    lost: float
    differ: int
    noise: float
    beyond: int
    largest_difference: float
    of_shapes: float
    of_measured: float | None
    allowed: float
    latency_ms: float
    flagged: int | None = None
    flags_differ: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the file may be kept. A difference that is no number is none that is allowed."""
        right = self.agreement >= LEAST_AGREEMENT and self.lost <= max(LOST, 1.01 / self.images)  # of few images, one
        right = right and self.beyond == 0
        right = right and (self.flags_differ or 0) <= max(1, (1 - LEAST_AGREEMENT) * self.images)
        return right and self.largest_difference <= self.allowed and self.of_shapes <= self.allowed

    @property
    def said(self) -> str:
        """All of it in a line."""
        against = "as measured" if self.measured else "as the classifier's: none was kept back from training"
        classes = f"the class of {self.differ:,} is another one" if self.differ else f"every class {against}"
        classes += f", {self.beyond:,} of them by more than arithmetic" if self.beyond else ""
        own = (
            f"; the classifier itself, in fp32, gives only {self.agreement:.1%} of them the class that was measured, "
            f"and {-100 * self.lost:+.2f} points of accuracy ({-100 * LOST:g} allowed)"
        )
        classes += own if self.agreement < LEAST_AGREEMENT else ""
        if self.flagged is not None:
            classes += f"; {self.flagged:,} flagged as unlike training's, {self.flags_differ:,} not as measured"
        largest = max(self.largest_difference, self.of_shapes)
        return (
            f"{counted(self.images, 'image')}: {classes}; probabilities differ by up to {largest:.2g} "
            f"({self.allowed:g} allowed); {self.latency_ms:.1f} ms an image"
        )

    def as_json(self) -> dict[str, Any]:
        """As it is kept beside the file."""
        return asdict(self)


def said_of(images: Images, run: Run, what: str) -> tuple[np.ndarray, ...]:
    """All that is said of images (N, S, S, 3) uint8, given some at a time, each output whole; what: says it."""
    found = []
    with bar(f"test images by {what}", len(images)) as advance:
        for start in range(0, len(images), BATCH):
            found.append(run(images[start : start + BATCH]))
            advance(len(found[-1][0]))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def compared(
    run: Run,
    said: tuple[np.ndarray, ...],
    classifier: Classifier,
    images: Subset,
    measured: np.ndarray | None,
    rounding: float,
    far: tuple[np.ndarray, float] | None,
) -> Parity:
    """Compare what an exported file said of images with the classifier, and both on photos of SHAPES made of the first.

    said: what `run` gave of images as the data set keeps them, (N, S, S, 3) uint8. measured: (N, C) probabilities,
    what was measured of them. rounding: of a probability, by the arithmetic of the file. far: see `far_of`.
    """
    (probabilities, *_), (expected,) = (
        said,
        said_of(images.images, lambda some: (classifier.predict_proba(some),), "PyTorch"),
    )
    reference = expected if measured is None else measured
    noise = 2 * (float(np.abs(expected - reference).max()) + rounding)
    differ = probabilities.argmax(axis=1) != reference.argmax(axis=1)
    first = np.sort(reference, axis=1)
    margins = first[:, -1] - first[:, -2]
    flags = None if far is None else [each > far[1] for each in (said[2], far[0])]
    picture = Image.fromarray(images.images[0])
    shapes = [np.asarray(picture.resize((width, height)))[None] for height, width in SHAPES]
    return Parity(
        images=len(images),
        measured=measured is not None,
        agreement=float((expected.argmax(axis=1) == reference.argmax(axis=1)).mean()),
        lost=float(np.subtract(*(np.mean(each.argmax(axis=1) == images.labels) for each in (reference, expected)))),
        differ=int(differ.sum()),
        noise=noise,
        beyond=int((differ & (margins > noise)).sum()),
        largest_difference=_largest(probabilities, expected),
        of_shapes=max(_largest(run(photo)[0], classifier.predict_proba(photo)) for photo in shapes),
        of_measured=None if measured is None else _largest(probabilities, measured),
        allowed=max(ALLOWED, 2 * rounding),
        latency_ms=latency_ms(run, images.images[:1]),
        flagged=None if flags is None else int(flags[0].sum()),
        flags_differ=None if flags is None else int((flags[0] != flags[1]).sum()),
    )


def measured_of(run: runs.Run, classifier: Classifier) -> np.ndarray | None:
    """(N, C) the calibrated probabilities that a run's predictions are; None where it has none."""
    if not (run.folder / runs.PREDICTIONS).exists():
        return None
    return softmax(run.predictions()[0] / classifier.temperature, axis=1)


def far_of(run: runs.Run) -> tuple[np.ndarray, float] | None:
    """How far a run's test images were measured to be from training's (N,), and the distance beyond which a picture is
    flagged; None where it has none."""
    novelty = Novelty.of(run)
    if novelty is None or run.novelty is None or not len(run.novelty["test"]):
        return None
    return run.novelty["test"], novelty.limit.threshold


def refuse(found: Parity) -> None:
    """Raise HeadstartError, which says by how much, for a file that says otherwise than the classifier."""
    if not found.holds:
        raise HeadstartError(f"the exported file says otherwise than what was measured, and is not kept: {found.said}")


def _largest(probabilities: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(probabilities - expected).max())


def latency_ms(run: Run, image: np.ndarray) -> float:
    """Milliseconds that a file takes for one image (1, S, S, 3): the median of 20 after a warm-up."""
    seconds = []
    for _ in range(LATENCY_REPEATS + 3):
        started = time.perf_counter()
        run(image)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds[3:]))
