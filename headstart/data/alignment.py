"""Whether two images show the same picture: one is laid on the other, and the two are compared where they overlap."""

from __future__ import annotations

from functools import cache

import numpy as np

LEVELS = {16: 12, 32: 8, 64: 5}  # pixels a side -> steps of Gauss-Newton
HOPE = {16: 0.45, 32: 0.6}  # the correlation at a level below which the next, four times as dear, is not tried
BLUR = 2.0  # pixels: what is slower than this is taken away
DEVIATION = 4.0  # grey levels that a neighbourhood's own deviation is added to: noise is not made loud
OVERLAP = 0.4  # of either picture that the other must cover
STRIP = 1 / 6  # of the height that a caption takes
FLAT = 0.1  # the deviation, once normalised, below which a picture has nothing to be compared by


def laid_on(first: np.ndarray, second: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well pictures correlate once each first is laid on its second: (n,) float32, 1 where they are the same, and
    the affine maps (n, 2, 3) from the second's coordinates to the first's, both from -1 to 1.

    first, second: (n, S, S) grey. shares: (n,) of the first's sides that the second is sought in the middle of. By the
    inverse compositional algorithm (Baker and Matthews 2004), from coarse to fine; brightness and contrast are taken
    out locally, so that neither matters. The better of aligned and as sought.
    """
    first, second = first.astype(np.float32), second.astype(np.float32)
    maps = np.zeros((len(first), 2, 3), np.float32)
    maps[:, 0, 0] = maps[:, 1, 1] = shares
    scores = np.zeros(len(first), np.float32)
    left = np.arange(len(first))
    for side, steps in LEVELS.items():
        if side > first.shape[1] or not len(left):
            break
        pictures, template = (normalised(_at(each[left], side)) for each in (first, second))
        sought = maps[left]
        tried = np.stack([_aligned(pictures, template, sought, steps), sought])
        best = np.argmax([_correlation(pictures, template, each, parts=1) for each in tried], axis=0)
        maps[left] = tried[best, np.arange(len(left))]
        scores[left] = _correlation(pictures, template, maps[left])
        if 2 * side <= first.shape[1]:
            hopeless = scores[left] < HOPE[side]
            scores[left[hopeless]] = 0
            left = left[~hopeless]
    return scores, maps


def bend(maps: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """How far maps (n, 2, 3) are from moving and scaling alone: the length of the turn in radians and of the logarithm
    of how much more one direction is stretched than the other: (n,).

    shapes: (n, 2, 2) width and height of the first and the second picture, which both were made square.
    """
    scale = shapes / np.sqrt(shapes.prod(axis=2, keepdims=True))
    linear = scale[:, 0, :, None] * maps[:, :, :2] / scale[:, 1, None, :]
    largest, smallest = np.linalg.svd(linear, compute_uv=False).T
    turn = np.arctan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1])
    return np.hypot(np.log(largest / np.maximum(smallest, 1e-6 * largest + 1e-9)), turn)


def _at(pictures: np.ndarray, side: int) -> np.ndarray:
    """At fewer pixels a side: the mean of squares of them."""
    times = pictures.shape[1] // side
    return pictures.reshape(len(pictures), side, times, side, times).mean(axis=(2, 4))


def normalised(pictures: np.ndarray) -> np.ndarray:
    """Less the mean around each pixel, divided by the deviation around it: (n, S, S) float32."""
    blur = _blur(pictures.shape[1])
    high = pictures - blur @ pictures @ blur.T
    return high / (np.sqrt(np.maximum(blur @ (high * high) @ blur.T, 0)) + DEVIATION)


@cache
def _blur(side: int) -> np.ndarray:
    """(side, side): each pixel's neighbours by a Gaussian, at the border those that there are."""
    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (distance / BLUR) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _identity(rows: int) -> np.ndarray:
    return np.eye(rows, max(rows, 3), dtype=np.float32)


@cache
def _grid(side: int) -> np.ndarray:
    """(3, side * side): x, y and 1 of each pixel's middle, from -1 to 1."""
    middle = (2 * np.arange(side) + 1) / side - 1
    y, x = np.meshgrid(middle, middle, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side)]).astype(np.float32)


def _sampled(pictures: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pictures where the maps send each pixel, interpolated bilinearly: (n, P), and whether that is inside."""
    count, side = pictures.shape[:2]
    where = ((maps @ _grid(side)) + 1) * np.float32(side / 2) - np.float32(0.5)  # (n, 2, P) in pixels
    inside = ((where > -0.51) & (where < side - 0.49)).all(axis=1)
    where = np.clip(where, 0, np.float32(side - 1.001))
    corner = where.astype(np.int32)
    along = where - corner
    flat = pictures.reshape(-1)
    at = corner[:, 1] * side + corner[:, 0] + (np.arange(count, dtype=np.int32) * side * side)[:, None]
    x, y = along[:, 0], along[:, 1]
    upper = flat[at] * (1 - x) + flat[at + 1] * x
    lower = flat[at + side] * (1 - x) + flat[at + side + 1] * x
    return upper * (1 - y) + lower * y, inside


def _aligned(pictures: np.ndarray, template: np.ndarray, maps: np.ndarray, steps: int) -> np.ndarray:
    """The maps (n, 2, 3), improved by so many steps, that lay each picture on its template."""
    count, side = template.shape[:2]
    dy, dx = (np.gradient(template, axis=axis).reshape(count, -1) * np.float32(side / 2) for axis in (1, 2))
    x, y, one = _grid(side)
    slopes = np.stack([dx * x, dx * y, dx * one, dy * x, dy * y, dy * one], axis=1)  # (n, 6, P)
    flat = template.reshape(count, -1)
    square = np.tile(_identity(3), (count, 1, 1))
    square[:, :2] = maps
    for _ in range(steps):
        values, inside = _sampled(pictures, square[:, :2])
        masked = slopes * inside[:, None]
        curvature = masked @ slopes.transpose(0, 2, 1)  # (n, 6, 6)
        damping = 1e-3 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] + 1e-3
        curvature += damping * _identity(6)
        step = np.linalg.solve(curvature, masked @ (values - flat)[:, :, None])
        change = np.tile(_identity(3), (count, 1, 1))
        change[:, :2] += np.clip(step.reshape(count, 2, 3), -0.2, 0.2)
        square = square @ np.linalg.inv(change)
    return square[:, :2]


def _correlation(pictures: np.ndarray, template: np.ndarray, maps: np.ndarray, parts: int = 3) -> np.ndarray:
    """(n,) of the pixels where both are, the best of so many parts: of all of these, and without a STRIP below or
    above, where a caption may be; 0 where that is less than OVERLAP of either, or one of the two is flat there."""
    values, inside = _sampled(pictures, maps)
    flat = template.reshape(len(template), -1)
    _, y, _ = _grid(template.shape[1])
    area = np.abs(np.linalg.det(maps[:, :, :2]))
    masks = (inside, inside & (y < 1 - 2 * STRIP), inside & (y > 2 * STRIP - 1))
    return np.max([_correlation_of(values, flat, mask, area) for mask in masks[:parts]], axis=0)


def _correlation_of(values: np.ndarray, template: np.ndarray, mask: np.ndarray, area: np.ndarray) -> np.ndarray:
    number = np.maximum(mask.sum(axis=1), 1)
    a, b = ((each - ((each * mask).sum(axis=1) / number)[:, None]) * mask for each in (values, template))
    deviations = [np.sqrt((each * each).sum(axis=1) / number) for each in (a, b)]
    covered = mask.mean(axis=1) * np.minimum(area, 1)
    usable = (covered >= OVERLAP) & (np.minimum(*deviations) >= FLAT)
    return np.where(usable, (a * b).sum(axis=1) / number / np.maximum(deviations[0] * deviations[1], 1e-9), 0)
