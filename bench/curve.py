"""How many of 100 intervals of a learning curve hold what lies beyond the measured sizes: a simulation.

Curves that follow the fitted law and curves that do not, measured at four sizes or six, by one seed or three that
scatter by 0 to 1 points, on 300 to 10,000 test images that all runs share. Prints a row a case: how often the 95 %
interval of the accuracy holds it with 1.5, 2 and 3 times the largest size, how often that of the images for one more
point holds their number, and the median width of the former, in points. An argument is the number of repetitions, 200
otherwise.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from headstart.evaluation.learning_curve import fit_learning_curve

TRUTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # n -> error
    "power law": lambda n: 5 * n**-0.5,
    "power law and floor": lambda n: 2 * n**-0.35 + 0.02,
    "flat": lambda n: 0.35 * n**-0.2,  # like a pre-trained network
    "two powers": lambda n: 6 * n**-0.7 + 0.35 * n**-0.12,
    "straight in log n": lambda n: 0.75 - 0.055 * np.log(n),
    "straight and steep": lambda n: 0.95 - 0.08 * np.log(n),
    "late start": lambda n: 0.03 + 0.87 / (1 + (n / 1000) ** 0.7),  # near chance at first
    "classes that saturate": lambda n: (0.02 + 0.6 / (1 + n[..., None] / np.geomspace(30, 10_000, 10))).mean(-1),
}
SIZES = {
    "four": (100.0, 300, 1000, 3000),
    "four near": (500.0, 1000, 2000, 4000),
    "six": (100.0, 300, 1000, 3000, 10_000, 30_000),
}
TIMES = (1.5, 2, 3)
TEST_IMAGES = (300, 1000, 10_000)
SCATTER = ((1, 0.0), (1, 0.003), (1, 0.01), (3, 0.0), (3, 0.003), (3, 0.01))  # seeds, their standard deviation
ALIKE = 0.7  # correlation of two runs about an image, on the scale of a probit: hard images are hard for both


def measured(errors: np.ndarray, test_images: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracies (P,) of runs with these errors (P,), all on the same test images."""
    noise = rng.standard_normal((len(errors), test_images))
    hard = rng.standard_normal(test_images)
    wrong = ALIKE**0.5 * hard + (1 - ALIKE) ** 0.5 * noise < norm.ppf(errors)[:, None]
    return 1 - wrong.mean(axis=1)


def coverage(truth: str, n: np.ndarray, spread: float, test_images: int, repetitions: int) -> dict[str, float]:
    """Intervals that hold the truth, and their median width in points, of 100; by what they are intervals of.

    n: (P,) training images, a run each.
    """
    rng = np.random.default_rng(0)
    error, largest = TRUTHS[truth], n.max()
    farther = np.array(TIMES) * largest
    beyond = np.geomspace(largest, 1e9, 100_000)
    one_point = beyond[np.argmax(error(beyond) < error(largest) - 0.01)] - largest or math.inf
    intervals, held_point = np.empty((repetitions, len(TIMES), 2)), np.empty(repetitions)
    for place in range(repetitions):
        errors = np.clip(error(n) + spread * rng.standard_normal(len(n)), 0.001, 0.999)
        curve = fit_learning_curve(n.astype(int), measured(errors, test_images, rng), test_images)
        found = [curve.accuracy(images) for images in farther]
        intervals[place] = [(interval.low, interval.high) for interval in found if interval is not None]
        more = curve.more_images()
        low, high = more.beyond if more.low is None else more.low, math.inf if more.high is None else more.high
        held_point[place] = low <= one_point <= high
    low, high = np.moveaxis(intervals, -1, 0)
    held = ((low <= 1 - error(farther)) & (1 - error(farther) <= high)).mean(axis=0)
    return {
        **{f"held_{each:g}": 100 * share for each, share in zip(TIMES, held, strict=True)},
        "held_point": 100 * held_point.mean(),
        **{f"width_{each:g}": 100 * width for each, width in zip(TIMES, np.median(high - low, axis=0), strict=True)},
    }


def main(repetitions: int) -> None:
    """Print the table as CSV."""
    cases = itertools.product(TRUTHS, SIZES, TEST_IMAGES, SCATTER)
    for place, (truth, sizes, test_images, (seeds, spread)) in enumerate(cases):
        found = coverage(truth, np.repeat(SIZES[sizes], seeds), spread, test_images, repetitions)
        if not place:
            print("truth", "sizes", "test_images", "seeds", "seed_points", *found, sep=",")
        numbers = [f"{each:.3g}" for each in found.values()]
        print(truth, sizes, test_images, seeds, 100 * spread, *numbers, sep=",", flush=True)


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["200"])[0]))
