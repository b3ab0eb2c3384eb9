from __future__ import annotations

import numpy as np
import pytest

import headstart as hs

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
LABELS = np.arange(30) % 3
NAMES = ["a", "b", "c"]


def test_arrays_are_split_like_a_folder():
    dataset = hs.from_arrays(IMAGES, LABELS, NAMES)
    assert sum(map(len, dataset.splits.values())) == 30
    for split in dataset.splits.values():
        assert set(split.labels) == {0, 1, 2}
    known = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert all(known[i.tobytes()] == label for i, label in zip(dataset.test.images, dataset.test.labels, strict=True))


def test_given_splits_are_kept():
    splits = np.where(np.arange(30) < 20, "train", "test")
    dataset = hs.from_arrays(IMAGES, LABELS, NAMES, splits=splits)
    assert np.array_equal(dataset.test.images, IMAGES[20:])


@pytest.mark.parametrize("shape", [(30, 16, 16), (30, 16, 16, 1)])
def test_grey_images_become_rgb(shape):
    dataset = hs.from_arrays(IMAGES[..., 0].reshape(shape), LABELS, NAMES)
    assert dataset.image_shape == (16, 16, 3)
    assert (dataset.train.images[..., 0] == dataset.train.images[..., 2]).all()


def test_images_that_are_no_squares_are_fitted_into_one():
    assert hs.from_arrays(IMAGES[:, :10], LABELS, NAMES).image_shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("images", "labels", "names", "said"),
    [
        (IMAGES / 255, LABELS, NAMES, "images must be uint8"),
        (IMAGES.transpose(0, 3, 1, 2), LABELS, NAMES, "images must be uint8"),
        (IMAGES[:0], LABELS[:0], NAMES, "images must be uint8"),
        (IMAGES, LABELS[:-1], NAMES, "labels must be 30 integers"),
        (IMAGES, LABELS.astype(float), NAMES, "labels must be 30 integers"),
        (IMAGES, LABELS, NAMES[:2], "indices into two or more class names"),
        (IMAGES, np.zeros(30, int), NAMES, "class 'b' has too few different images: 0"),
        (IMAGES[[0] * 30], LABELS, NAMES, "too few different images"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused_in_one_line(images, labels, names, said):
    with pytest.raises(hs.HeadstartError, match=said) as refusal:
        hs.from_arrays(images, labels, names)
    assert "\n" not in str(refusal.value)
