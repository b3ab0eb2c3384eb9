"""Pictures brought into squares by each fit: what a linear head on frozen features makes of them, and what it costs.

    .venv/bin/python bench/fit.py photos/ [more/ ...]

For each folder, `<class>/...` or a CSV, and each fit: the files are decoded and fitted as `load` does,
EfficientNet-Lite0 at 192 pixels gives the features that `frozen` sees, and a ridge classifier is trained and tested on
the same FOLDS folds REPEATS times. An image's score is the share of repeats in which it is right; the interval of a
difference is that of the mean over images, paired. Of identical pictures one is kept, and no class of fewer than FOLDS.
"crop 0.875" cuts off an eighth more: how the weights were evaluated on ImageNet. Told apart: images that are LONG times
as long as wide or more, and the others.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.data.arrays import from_arrays
from headstart.data.dataset import digest_of
from headstart.data.decode import DecodeError, fitted, read_image
from headstart.data.listing import scan
from headstart.data.store import LARGEST, side_of
from headstart.models.backbones import EFFICIENTNET_LITE0, load_backbone
from headstart.options import CROP, FITS
from headstart.training.preparation import Pretrained

FOLDS, REPEATS = 5, 10
LONG = 1.5
INNER = "crop 0.875"  # of the short side
ALPHAS = np.logspace(1, 6, 11)  # of the ridge, on standardised features; leave-one-out on train chooses


def fitted_by(way: str, pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture in a square, by a fit or by INNER."""
    if way != INNER:
        return fitted(pixels, side, way)
    height, width = pixels.shape[:2]
    kept = max(1, round(0.875 * min(height, width)))
    top, left = (height - kept) // 2, (width - kept) // 2
    return fitted(pixels[top : top + kept, left : left + kept], side, CROP)


def features_of(squares: np.ndarray, labels: np.ndarray, names: list[str]) -> tuple[np.ndarray, float]:
    """What `frozen` sees of images (N, S, S, 3): (N, D) float32, and the seconds of the frozen pass."""
    data = from_arrays(squares, labels, names).whole
    backbone = load_backbone(EFFICIENTNET_LITE0, offline=True)
    shared = Pretrained(backbone, (1.0,), data.image_shape, torch.device("cpu"))
    samples, seconds = shared.frozen_pass.samples(data.train, ("identity",), shared.cuts[1.0])
    every = samples.taken(0, slice(None), torch.device("cpu"))
    return every.flatten(1).numpy(), seconds


def rightness(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) the share of repeats in which each image is classified rightly by a head that was not trained on it."""
    right = np.zeros(len(labels))
    for train, test in RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0).split(
        features, labels
    ):
        head = make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS))
        right[test] += head.fit(features[train], labels[train]).predict(features[test]) == labels[test]
    return right / REPEATS


def difference(one: np.ndarray, other: np.ndarray) -> str:
    """The mean paired difference in points, and its 95 % interval."""
    gaps = 100 * (one - other)
    half = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return f"{gaps.mean():+6.2f} ({gaps.mean() - half:+.2f} to {gaps.mean() + half:+.2f})"


def measure(place: Path) -> None:
    """Print a row a fit for one folder."""
    listing = scan(place)
    started = time.perf_counter()
    unlike: dict[str, tuple[np.ndarray, int]] = {}
    for path, label in zip(listing.paths, listing.labels, strict=True):
        try:
            pixels = read_image(listing.root / path).pixels
        except DecodeError:
            continue
        unlike.setdefault(digest_of(pixels), (pixels, label))
    counts = np.bincount([label for _, label in unlike.values()], minlength=len(listing.class_names))
    pictures = [pixels for pixels, label in unlike.values() if counts[label] >= FOLDS]
    kept = [label for _, label in unlike.values() if counts[label] >= FOLDS]
    names, targets = np.array(listing.class_names)[counts >= FOLDS].tolist(), np.unique(kept, return_inverse=True)[1]
    decoding = time.perf_counter() - started
    shapes = np.array([max(each.shape[:2]) / min(each.shape[:2]) for each in pictures])
    print(
        f"\n{place.name}: {len(pictures):,} images, {len(names)} classes, decoded in {decoding:.1f} s; "
        f"long by short side {np.median(shapes):.2f} in the median, {np.quantile(shapes, 0.9):.2f} at 90 %, "
        f"{shapes.max():.1f} at most; {(shapes >= LONG).sum()} of {LONG:g} or more"
    )
    found: dict[str, np.ndarray] = {}
    for way in ("letterbox", *(fit for fit in FITS if fit != "letterbox"), INNER):
        side = side_of(listing, CROP if way == INNER else way, LARGEST)
        started = time.perf_counter()
        squares = np.stack([fitted_by(way, pixels, side) for pixels in pictures])
        fitting = time.perf_counter() - started
        features, seconds = features_of(squares, targets, names)
        found[way] = rightness(features, targets)
        told = f"{way:10} {side:4} px {100 * found[way].mean():6.2f} %  {difference(found[way], found['letterbox'])}"
        for name, chosen in (("long", shapes >= LONG), ("others", shapes < LONG)):
            if chosen.sum() > 1:
                told += f"  {name} {100 * found[way][chosen].mean():6.2f}"
        print(f"{told}  fitted in {fitting:.2f} s, frozen pass {seconds:.1f} s", flush=True)
    print(f"stretch - crop {difference(found['stretch'], found[CROP])}", flush=True)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        measure(Path(each))
